package outbox

import (
	"cmp"
	"hash/fnv"
	"slices"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// After a kill Alertmanager may not know that the outbox had accepted a group, for it
// notes that after Put has returned, and puts it once more. What an earlier run
// accepted shortly before is not accepted again.

// doubtful is how long after its acceptance the same group, put as the first one of
// its key after a start, is the one that was accepted already.
const doubtful = 10 * time.Minute

// lastPut is the newest message of a matter, whether it waits or not.
type lastPut struct {
	sum     uint64
	at      time.Time
	earlier bool // accepted by an earlier run; nothing was put since
}

// content tells what a group says: which alerts fire, since when, and which have ended.
func content(g dingtalk.Group) uint64 {
	alerts := slices.Clone(g.Alerts)
	slices.SortFunc(alerts, func(a, b dingtalk.Alert) int { return cmp.Compare(a.Fingerprint, b.Fingerprint) })
	h := fnv.New64a()
	for _, a := range alerts {
		h.Write([]byte(a.Fingerprint))
		h.Write([]byte{byte(b2i(a.Firing()))})
		h.Write([]byte(a.StartsAt.UTC().Format(time.RFC3339Nano)))
	}
	return max(h.Sum64(), 1) // 0: not known
}

// known reports whether an earlier run accepted this message. It says so once.
func (o *Outbox) known(m matter, g dingtalk.Group, now time.Time) bool {
	l, ok := o.lasts[m]
	if !ok || !l.earlier {
		return false
	}
	l.earlier = false
	o.lasts[m] = l
	return l.sum == content(g) && now.Sub(l.at) < doubtful
}

// same is the record of the newest messages of a channel, for a journal that forgets
// their own.
func (o *Outbox) same(channel string, now time.Time) (recs []record) {
	r := record{Op: opSame, Robot: channel}
	for m, l := range o.lasts {
		if m.channel != channel {
			continue
		}
		if now.Sub(l.at) >= doubtful {
			delete(o.lasts, m)
			continue
		}
		r.Keys, r.Seqs, r.Times = append(r.Keys, m.key), append(r.Seqs, l.sum), append(r.Times, l.at.UnixNano())
	}
	if len(r.Keys) == 0 {
		return nil
	}
	return []record{r}
}

func (o *Outbox) applySame(r record) {
	if o.lasts == nil || len(r.Seqs) != len(r.Keys) || len(r.Times) != len(r.Keys) {
		return // nothing that this program writes
	}
	for i, k := range r.Keys {
		o.lasts[matter{r.channel(), k}] = lastPut{r.Seqs[i], time.Unix(0, r.Times[i]), true}
	}
}
