package sense

// sensors is the list for Linux, in the order they run. The first tells time and identity.
func sensors(o Options) ([]Sensor, error) {
	return []Sensor{
		missing("gpu", "load on graphics cards has no sensor yet"),
	}, nil
}
