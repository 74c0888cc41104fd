package keychain

import "fmt"

// Program is the program in which a person sees the entries.
const Program = "Keychain Access"

// EntryName is what Program shows for the entry of account.
func EntryName(account string) string { return fmt.Sprintf("%s, account %s", Service, account) }
