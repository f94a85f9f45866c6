package sense

import "github.com/minehound/minehound/agent/sense/secret"

// Mask takes the secrets out of a command line: passwords, tokens, keys and the userinfo of URLs become "***", while
// wallets stay visible. The result has as many arguments as args; it is args itself when there was nothing to mask.
// Everything textual in a Snapshot has been through it.
func Mask(args []string) []string { return secret.Mask(args) }
