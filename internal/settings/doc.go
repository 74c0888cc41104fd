// Package settings holds the rules for what users write into flags, environment
// variables and files: which invisible characters are trimmed, what a path and a
// list look like, and which names there are.
//
// It reads no flags itself. Errors name what is wrong and never repeat the value
// of a setting that may hold a secret.
package settings
