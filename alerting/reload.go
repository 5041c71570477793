package alerting

// SetAlertmanager replaces Alertmanager's configuration by a text; empty is the
// shipped one. One that is wrong is named, with its line where it is no YAML or has a
// key that there is not, and what ran before runs on. Templates are read anew.
func (a *Alerter) SetAlertmanager(text string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	cfg := a.now
	cfg.Alertmanager = text
	all, err := cfg.channels()
	if err != nil {
		return err
	}
	if err := a.engine.Reconfigure(cfg.engine().Alertmanager, addressees(cfg.Channels, cfg.Robots)); err != nil {
		return err
	}
	a.now = cfg
	return a.outbox.SetChannels(all)
}

// Reload reads Alertmanager's configuration anew, as [Config.ReadAlertmanager] says.
func (a *Alerter) Reload() error {
	if a.cfg.ReadAlertmanager == nil {
		return nil
	}
	text, err := a.cfg.ReadAlertmanager()
	if err != nil {
		return err
	}
	return a.SetAlertmanager(text)
}
