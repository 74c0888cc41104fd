package settings

import "errors"

func dataFolder() (string, error) {
	if folder := fromVariable("LocalAppData"); folder != "" {
		return folder, nil
	}
	return "", errors.New("there is no data folder: %LocalAppData% names none. Set it")
}

func configFolder() (string, error) {
	if folder := fromVariable("AppData"); folder != "" {
		return folder, nil
	}
	return "", errors.New("there is no folder for settings: %AppData% names none. Set it")
}
