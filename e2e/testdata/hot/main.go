// Command hot works on one thread until it is ended. Tests give it the names and arguments that they want to see found.
package main

import "crypto/sha256"

func main() {
	for sum := [32]byte{}; ; {
		sum = sha256.Sum256(sum[:])
	}
}
