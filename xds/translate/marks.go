package translate

import (
	mutation "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/kongdao/kongdao/xds/model"
)

// believedMarks are early header mutations that leave the mark of a stress test to
// requests that have the right to it, which is the name of a header that nobody else
// knows. Envoy knows no condition here, so the mark is moved: to that header where
// there is one, and back from it, or from nowhere.
func (t *translator) believedMarks() []*mutation.HeaderMutation {
	if t.MarkHeader == "" {
		return nil
	}
	return []*mutation.HeaderMutation{
		{Action: &mutation.HeaderMutation_Append{Append: &core.HeaderValueOption{
			Header:       &core.HeaderValue{Key: t.MarkHeader, Value: "%REQ(" + model.LoadTestHeader + ")%"},
			AppendAction: core.HeaderValueOption_OVERWRITE_IF_EXISTS,
		}}},
		remove(model.LoadTestHeader),
		overwrite(model.LoadTestHeader, "%REQ("+t.MarkHeader+")%"),
		remove(t.MarkHeader),
	}
}

func remove(name string) *mutation.HeaderMutation {
	return &mutation.HeaderMutation{Action: &mutation.HeaderMutation_Remove{Remove: name}}
}
