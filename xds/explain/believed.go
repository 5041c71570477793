package explain

import (
	"github.com/kongdao/kongdao/xds/model"
)

// believed is the request as gateways take it: where marks of stress tests need a
// right, one without it is taken away before anything else looks at the request.
func believed(w *model.World, r Request) (_ Request, taken bool) {
	marked := model.Marked(r.values)
	if w.MarkHeader == "" || !marked {
		return r, false
	}
	right := len(r.values(w.MarkHeader)) > 0
	r.Headers = r.Headers.Clone()
	r.Headers.Del(w.MarkHeader)
	if !right {
		r.Headers.Del(model.LoadTestHeader)
	}
	return r, !right
}
