/// Completion scripts, made from the table of commands.
///
/// All of them complete a command after `--` as a command, and its arguments with its own completion.
enum Completion {
    enum Shell: String, CaseIterable {
        case bash, zsh, fish
    }

    static func script(for shell: Shell) -> String {
        switch shell {
        case .bash: bash
        case .zsh: zsh
        case .fish: fish
        }
    }

    /// Commands that take a command after `--`.
    static var runners: [CommandDescriptor] { CommandDescriptor.visible.filter(\.completesCommand) }

    static func quoted(_ text: String) -> String {
        "'" + text.replacing("'", with: "'\\''") + "'"
    }
}

extension OptionDescriptor {
    /// `--wait`, `-w`.
    var spellings: [String] { ["--\(long)"] + (short.map { ["-\($0)"] } ?? []) }
}
