package reply

import (
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"

	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
)

//go:embed page.html
var pageText string

// view is what the page shows. html/template makes names from alerts harmless.
type view struct {
	Lang, Title, ID, Summary, Status string
	Message                          string // instead of a form
	Problem                          string // with the form
	Button, Label, Once              string
	Names                            []string // to choose from; empty: any
	Name                             string   // chosen
}

func (p *Page) view(s claim.State, action claim.Action, r *http.Request) view {
	w := p.words()
	v := view{
		Title: s.Group.Name(), ID: s.ID(), Summary: p.summary(s.Group), Status: p.status(s),
		Button: w.actions[action], Label: w.label, Once: rand.Text(), Names: p.cfg.Answerers(s.Group), Name: nameOf(r),
	}
	if !s.Open() {
		v.Message = w.ended
	}
	return v
}

// show writes the page. It is small: what fails is the connection.
func (p *Page) show(w http.ResponseWriter, status int, v view) {
	v.Lang = "zh"
	if p.cfg.Lang == dingtalk.English {
		v.Lang = "en"
	}
	page, err := template.New("page").Parse(pageText)
	if err != nil { // it is part of the program, and tested
		http.Error(w, "page", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = page.Execute(w, v)
}

func (p *Page) summary(g dingtalk.Group) string {
	if len(g.Alerts) == 0 {
		return ""
	}
	first, second := "summary_zh", "summary"
	if p.cfg.Lang == dingtalk.English {
		first, second = second, first
	}
	if t := g.Alerts[0].Annotations[first]; t != "" {
		return t
	}
	return g.Alerts[0].Annotations[second]
}

// status is what was done about it.
func (p *Page) status(s claim.State) string {
	w, now := p.words(), p.cfg.Now()
	var parts []string
	if m := s.Claim(now); m != nil {
		parts = append(parts, fmt.Sprintf(w.claimed, m.By.Name, p.clock(m.At)))
	} else if s.Open() {
		parts = append(parts, w.unclaimed)
	}
	if m := s.Silence(now); m != nil {
		parts = append(parts, fmt.Sprintf(w.silenced, m.By.Name, p.clock(m.Until)))
	}
	if s.Level > 0 {
		parts = append(parts, fmt.Sprintf(w.raised, s.Level))
	}
	return strings.Join(parts, " · ")
}

// refusal is why an answer had no effect.
func (p *Page) refusal(err error) string {
	w := p.words()
	if taken, ok := errors.AsType[*claim.TakenError](err); ok {
		return fmt.Sprintf(w.claimed, taken.By.By.Name, p.clock(taken.By.At))
	}
	switch {
	case errors.Is(err, claim.ErrEnded):
		return w.ended
	case errors.Is(err, claim.ErrUnknown):
		return w.unknown
	case errors.Is(err, claim.ErrNoSteps):
		return w.noSteps
	}
	p.cfg.Log.Error("answer by link failed", "err", err)
	return w.failed
}

type words struct {
	actions, done                               map[claim.Action]string
	claimed, unclaimed, silenced, raised        string
	ended, unknown, noSteps, failed, label, who string
}

var chinese = words{
	actions:   map[claim.Action]string{claim.Claim: "认领", claim.Silence: "静音 30 分钟", claim.Escalate: "升级", claim.Release: "取消认领"},
	done:      map[claim.Action]string{claim.Claim: "已认领", claim.Silence: "已静音", claim.Escalate: "已升级", claim.Release: "已取消认领"},
	claimed:   "%s 已认领 (%s)",
	unclaimed: "无人认领", silenced: "%s 静音至 %s", raised: "已升级 %d 级",
	ended: "告警已恢复", unknown: "告警已过期", noSteps: "没有可升级的对象", failed: "操作失败,请稍后再试", label: "你是", who: "请填写你的名字",
}

var english = words{
	actions:   map[claim.Action]string{claim.Claim: "Claim", claim.Silence: "Silence 30 min", claim.Escalate: "Escalate", claim.Release: "Release"},
	done:      map[claim.Action]string{claim.Claim: "Claimed", claim.Silence: "Silenced", claim.Escalate: "Escalated", claim.Release: "Released"},
	claimed:   "claimed by %s (%s)",
	unclaimed: "unclaimed", silenced: "silenced by %s until %s", raised: "%d steps up",
	ended: "It has ended", unknown: "Nothing is known about this any more", noSteps: "There is nobody to escalate to", failed: "That failed, try again", label: "You are", who: "Say who you are",
}

func (p *Page) words() words {
	if p.cfg.Lang == dingtalk.English {
		return english
	}
	return chinese
}
