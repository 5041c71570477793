package search

// EarlierShare is the first rate as a part of an earlier search's safe rate.
const EarlierShare = 0.6

// First is the first rate that is tried, requests a second.
func (c Config) First() float64 {
	rate := c.Start
	if rate == 0 {
		rate = EarlierShare * c.Earlier
	}
	if c.MaxRate > 0 {
		rate = min(rate, c.MaxRate)
	}
	return rate
}
