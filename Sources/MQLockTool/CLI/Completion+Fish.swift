extension Completion {
    static var fish: String {
        var text = """
            # fish completion of mqlock; made by 'mqlock completion fish'

            # Is the command of mqlock one of these, with no -- behind it yet?
            function __mqlock_in
                set -l words (commandline -opc)
                test (count $words) -gt 1; and contains -- $words[2] $argv; and not contains -- -- $words
            end

            # Is one of these words there, other than as the command of mqlock?
            function __mqlock_has
                set -l words (commandline -opc)
                test (count $words) -gt 2; or return 1
                for word in $argv
                    contains -- $word $words[3..-1]; and return 0
                end
                return 1
            end

            # What the words behind -- would be completed to as a command line of their own.
            function __mqlock_command
                set -l words (commandline -opc)
                set -l at (contains -i -- -- $words); or return
                set -l line
                if test $at -lt (count $words)
                    set line (string escape -- $words[(math $at + 1)..-1])
                end
                complete -C (string join -- ' ' $line (commandline -ct))
            end

            # Is a command behind -- being written?
            function __mqlock_runs
                set -l words (commandline -opc)
                test (count $words) -gt 2; and contains -- $words[2] $argv; and contains -- -- $words
            end

            complete -c mqlock -f

            """
        for option in [OptionDescriptor.help, .version] {
            text += "complete -c mqlock -n __fish_use_subcommand" + fishNames(option) + "\n"
        }
        for command in CommandDescriptor.visible {
            text += "complete -c mqlock -n __fish_use_subcommand -a \(command.name) -d \(quoted(command.summary))\n"
            let condition = "complete -c mqlock -n '__mqlock_in \(command.name)"
            for option in command.allOptions { text += condition + "'" + fishNames(option) + "\n" }
            let words = command.operandWords.joined(separator: " ")
            if !words.isEmpty {
                text += "\(condition); and not __mqlock_has \(words)' -a \(quoted(words))\n"
            }
            if command.takesFile { text += "\(condition); and __mqlock_has \(words)' -F\n" }
        }
        let names = runners.map(\.name).joined(separator: " ")
        return text + "complete -c mqlock -n '__mqlock_runs \(names)' -a '(__mqlock_command)'\n"
    }

    private static func fishNames(_ option: OptionDescriptor) -> String {
        let short = option.short.map { " -s \($0)" } ?? ""
        let value =
            switch option.value {
            case .none: ""
            case .text: " -x"
            case .file: " -r -F"
            case .oneOf(_, let words): " -x -a \(quoted(words.joined(separator: " ")))"
            }
        return "\(short) -l \(option.long)\(value) -d \(quoted(option.summary))"
    }
}
