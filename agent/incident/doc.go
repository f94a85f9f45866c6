// Package incident gathers findings over time into one case per miner: a watchdog, its workers and their respawns share
// a case. It weighs the evidence and says what the case is; it tells nobody, reports do.
package incident
