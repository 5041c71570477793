package chat

import (
	"errors"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// words are the fixed texts of a language.
type words struct {
	unclaimed, claimed, silenced, raised, resolved           string
	notYours, ended, unknown, nobody, noSteps, taken, failed string
}

var chinese = words{
	unclaimed: "无人认领", claimed: "%s 已认领 (%s)", silenced: "%s 静音至 %s", raised: "第 %d 级升级: %s (%s)", resolved: "%s 已恢复",
	notYours: "你不在负责此告警的团队 %s 中", ended: "告警已恢复", unknown: "告警已过期", nobody: "无人认领",
	noSteps: "没有可升级的对象", taken: "%s 已于 %s 认领", failed: "操作失败: %s",
}

var english = words{
	unclaimed: "unclaimed", claimed: "claimed by %s (%s)", silenced: "silenced by %s until %s", raised: "step %d up: %s (%s)", resolved: "resolved %s",
	notYours: "you are not in the team %s, which this is given to", ended: "it has ended", unknown: "nothing is known about this any more", nobody: "nobody has claimed it",
	noSteps: "there is nobody to escalate to", taken: "%s has claimed it (%s)", failed: "that failed: %s",
}

func (c *Chat) words() words {
	if c.cfg.Lang == dingtalk.English {
		return english
	}
	return chinese
}

func (c *Chat) clock(t time.Time) string {
	loc := c.cfg.Location
	if loc == nil {
		loc = time.UTC
	}
	return t.In(loc).Format("15:04")
}

// NotYoursError says that somebody answered who may not.
type NotYoursError struct{ Team string }

func (e *NotYoursError) Error() string {
	return fmt.Sprintf("only people of the team %s may answer to this", e.Team)
}

// notice is an error for the person who pressed.
func (c *Chat) notice(err error) string {
	w := c.words()
	if taken, ok := errors.AsType[*claim.TakenError](err); ok {
		return fmt.Sprintf(w.taken, taken.By.By.Name, c.clock(taken.By.At))
	}
	if not, ok := errors.AsType[*NotYoursError](err); ok {
		return fmt.Sprintf(w.notYours, not.Team)
	}
	for known, text := range map[error]string{claim.ErrEnded: w.ended, claim.ErrUnknown: w.unknown, claim.ErrNobody: w.nobody, claim.ErrNoSteps: w.noSteps} {
		if errors.Is(err, known) {
			return text
		}
	}
	return fmt.Sprintf(w.failed, err)
}
