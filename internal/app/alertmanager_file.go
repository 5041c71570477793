package app

import (
	"context"
	"time"
)

// lookEvery is how often Alertmanager's configuration is looked at.
const lookEvery = 2 * time.Second

// followAlertmanager takes over Alertmanager's configuration when its file is another
// than known. What is wrong is said once, and what ran before runs on.
func (s *System) followAlertmanager(ctx context.Context, known string) error {
	var err error
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		text, errNow := s.cfg.Alerting.Alertmanager()
		if errNow != nil {
			if err == nil {
				s.log.Error("alertmanager's configuration cannot be read, the one before runs on", "error", errNow)
			}
			err = errNow
			continue
		}
		if err = nil; text == known {
			continue
		}
		known = text
		if err := s.alerting.SetAlertmanager(text); err != nil {
			s.log.Error("alertmanager's configuration not changed, the one before runs on", "error", err)
			continue
		}
		s.log.Info("alertmanager's configuration changed", "file", s.cfg.Alerting.AlertmanagerConfig)
	}
}
