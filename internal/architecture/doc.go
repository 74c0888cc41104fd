// Package architecture holds, in its tests, which package may import which.
package architecture
