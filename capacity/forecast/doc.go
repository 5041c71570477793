// Package forecast says what rate to expect of a function: its day, its week, its
// trend, and events that have a name, such as a promotion or a holiday. It says how
// wrong it was in the past, too, and what it could not know.
//
// It is pure: no clock, no state, and the same input gives the same answer.
//
// # Method
//
// The series is taken apart as in STL (Cleveland et al. 1990) for several seasons
// (MSTL, Bandara, Hyndman and Bergmeir 2021), with weighted means in the place of
// LOESS, so that a gap is a weight of 0 and a fit takes time in proportion to the
// series' length:
//
//	z(t) = T(t) + Σ S_p(t mod p) + e(t)
//
//	where  z  the rate, or its logarithm
//	       T  trend: a line through the points within half of the longest season
//	       S  season of period p: the mean of the points of equal phase, recent ones
//	          count more; shrunk by as much of it as noise alone would show
//	       e  what is left; points with a large e count less (Tukey's bisquare)
//
// The forecast is S of the last cycles on a level and a slope, which go on from the
// end of z − ΣS; the slope dies away, or stays, or is none. How far seasons and level
// look back, whether logarithms are taken and what becomes of the slope are not known
// beforehand: each combination is one candidate.
//
// Another family of candidates follows the series step by step, exponential smoothing
// for two seasons with an autoregressive error (Taylor 2003, JORS 54):
//
//	d(t) = z(t) − L − Σ S_p(t mod p)
//	L   += α·d(t)      S_p(t mod p) += γ_p·d(t)
//	forecast of h steps ahead: L + Σ S_p(t+h mod p) + φ^h·d(t)
//
//	where  L       level
//	       α, γ_p  what it and each season take of an error
//	       φ       how much of an error is still there a step later
//
// What of d(t) was not to be expected is cut at four times its usual size, so that an
// accident is not learned; errors that stay for a whole season move the level. The third
// family is the seasonal naive forecast, the value of one season ago. The mean of those
// that were best in the past, of each family, is the answer.
//
// Seasons go by the clocks of a place, if one is given: where clocks are changed the
// series is first moved to what they show.
//
// # Error
//
// The past is walked through again: from each origin, which is a horizon or half of
// it after the one before, the candidates that were best at earlier origins forecast
// what came then. No error that is reported was used to choose what is judged by it.
// Intervals are quantiles of these errors, widened for their being alike within one
// origin; that of the peak is one of Student's t
// through the logarithms of peak ÷ forecast peak of each origin.
//
// Libraries: the Go modules for STL that exist are older than Go modules or know one
// season; none back-tests.
package forecast
