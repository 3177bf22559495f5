// Package parleytest holds the suites that a new bot or store runs in its own
// tests to show that it keeps its contract.
package parleytest
