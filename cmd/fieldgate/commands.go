package main

import "github.com/spf13/cobra"

// addCommands is the command table; `completion` and `help` come from cobra.
func (a *app) addCommands(root *cobra.Command) {
	root.AddCommand(
		a.demoCommand(),
		a.runCommand(),
		a.simCommand(),
		a.statusCommand(),
		a.reloadCommand(),
		a.versionCommand(),
		a.benchCommand(),

		a.initCommand(),
		a.checkCommand(),
		a.configCommand(),
		a.planCommand(),
		a.passwdCommand(),

		a.portsCommand(),
		a.busCommand(),
		a.scanCommand(),
		a.readCommand(),
		a.pollCommand(),
		a.writeCommand(),

		a.tagsCommand(),
		a.subCommand(),
		a.pubCommand(),
		a.queueCommand(),
		a.upstreamCommand(),
	)
	root.SetHelpCommandGroupID("run")
	root.SetCompletionCommandGroupID("run")
}
