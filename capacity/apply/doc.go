// Package apply makes what was measured of a function the limit that its resource
// file declares. It is arithmetic and text alone: no clock, no files.
//
// Edit changes the one value and the one field of the one document, in place, so that
// comments, order and style of all else stay as they are, byte for byte. What it made
// is read again and compared: an edit that would change anything else, such as a value
// that another resource shares by an anchor, is refused.
package apply
