package cli

import (
	"fmt"
	"strings"
	"time"
)

// heading is a name as the head of a column.
func heading(name string) string { return strings.ToUpper(strings.ReplaceAll(name, "_", " ")) }

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return printable(s)
}

// share is a count and what part of all it is.
func share(n, all uint64) string {
	if n == 0 || all == 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d (%.2f%%)", n, float64(n)/float64(all)*100)
}

// micros is a number of microseconds as milliseconds.
func micros(us float64) string { return fmt.Sprintf("%.1fms", us/1000) }

// size is a number of bytes in the unit that fits.
func size(bytes uint64) string {
	const units = "KMGTPE"
	if bytes < 1024 {
		return fmt.Sprintf("%dB", bytes)
	}
	v, i := float64(bytes)/1024, 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return fmt.Sprintf("%.1f%ciB", v, units[i])
}

// clock is a time of today without its date.
func clock(t time.Time) string {
	t = t.Local()
	if y, m, d := time.Now().Date(); t.Year() == y && t.Month() == m && t.Day() == d {
		return t.Format("15:04:05")
	}
	return t.Format("2006-01-02 15:04:05")
}
