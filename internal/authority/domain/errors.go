// Package domain holds what the embedded API is about. It knows neither SQL nor
// HTTP.
package domain

// InvalidError indicates that a value was refused, and what is allowed.
type InvalidError struct {
	Field   string
	Problem string
}

// Error implements error.
func (e *InvalidError) Error() string { return e.Field + " " + e.Problem }
