package keychain

// Program is the program in which a person sees the entries.
const Program = "Credential Manager, under Generic Credentials"

// EntryName is what Program shows for the entry of account.
func EntryName(account string) string { return Service + ":" + account }
