package translate

import (
	"regexp"
	"strconv"
	"strings"

	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// rewrite changes what pods see of path and host. The call log has the path that
// came, of which Envoy keeps a copy; pods get the host that came in
// x-forwarded-host.
func rewrite(to *route.RouteAction, r *model.Rule) {
	if r.RewriteHost != "" {
		to.HostRewriteSpecifier = &route.RouteAction_HostRewriteLiteral{HostRewriteLiteral: r.RewriteHost}
		to.AppendXForwardedHost = true
	}
	if r.Rewrite == nil {
		return
	}
	if prefix, ok := plainRewrite(*r.Rewrite); ok {
		to.PrefixRewrite = prefix
		return
	}
	to.RegexRewrite = regexRewrite(*r.Rewrite)
}

// plainRewrite is a substitution that puts text in place of what the path has
// matched, which costs less than an expression.
func plainRewrite(s model.Substitution) (text string, ok bool) {
	switch {
	case s.From.Kind == model.Exact:
		return s.To, true
	case s.From.Kind == model.Prefix && strings.HasSuffix(s.To, "/*"):
		return strings.TrimSuffix(s.To, "*"), true
	}
	return "", false
}

// regexRewrite is a substitution of the whole path, without query.
func regexRewrite(s model.Substitution) *matcher.RegexMatchAndSubstitute {
	var b strings.Builder
	literals, captures := s.Parts()
	for i, text := range literals {
		b.WriteString(strings.ReplaceAll(text, `\`, `\\`))
		if i < len(captures) {
			b.WriteString(`\` + strconv.Itoa(captures[i]))
		}
	}
	return &matcher.RegexMatchAndSubstitute{
		Pattern:      &matcher.RegexMatcher{Regex: "^" + captureRegex(s.From) + "$"},
		Substitution: b.String(),
	}
}

// captureRegex is a path as an expression that captures what stands for something.
func captureRegex(p model.Path) string {
	if p.Kind == model.Prefix {
		return regexp.QuoteMeta(p.Text) + "(.*)"
	}
	segments := strings.Split(p.Text, "/")
	for i, s := range segments {
		switch {
		case model.IsParameter(s):
			segments[i] = "([^/]+)"
		case s == "*" && i == len(segments)-1:
			segments[i] = "(.*)"
		default:
			segments[i] = regexp.QuoteMeta(s)
		}
	}
	return strings.Join(segments, "/")
}
