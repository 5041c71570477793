// Package chart draws what an alert is about as a picture for a phone: the rule's
// values, the bound that they crossed, and when.
//
// It knows neither rules nor alerts, and labels in its letters are Latin; other
// scripts are left to the text of the message.
package chart
