package chaos

// tear does to the end of the log what a write that was under way leaves behind.
func (r *rig) tear() {
}
