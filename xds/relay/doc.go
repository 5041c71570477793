// Package relay stands between an Envoy and the control plane, in the process that
// runs the Envoy. It passes everything on as it is, and keeps on disk what Envoy has
// accepted: an Envoy that starts while the control plane is away gets that, and
// serves as it did before. When the control plane is back, the Envoy goes on from
// there and gets what differs.
//
// What it promises: what was accepted is in the file before the control plane is
// told so, and survives the death of every process at any moment (not of the
// machine: the file is not synced). A file that was cut off or damaged loses what
// comes after the damage; one of another format is put aside.
//
// It also notices an Envoy that falls silent: one that leaves a response unanswered
// for longer than that may take although its administration answers at once. Envoy
// does so for ever when a cluster turns out to be bad only when it is warm. Heal is
// called then.
package relay
