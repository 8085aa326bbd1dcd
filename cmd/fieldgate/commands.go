package main

import "github.com/spf13/cobra"

func (a *app) addCommands(root *cobra.Command) {
	root.AddCommand(
		a.versionCommand(),
	)
}
