// Package arch keeps imports pointing one way. It has no code but a test, which
// reads the import clauses of the whole module and compares them with a table.
package arch
