package parley

// Guessable lets tests measure the rule that no answer may reveal.
var Guessable = guessable
