package explain

// For gives the answer the request that it is about, for [Answer.Text], where the
// answer was asked for elsewhere and came as JSON.
func (a Answer) For(r Request) Answer {
	a.request = r
	return a
}
