// Package human is the roads between the server and the person behind the
// assistant that no model can read or fill in.
package human
