extension Completion {
    static var zsh: String {
        let names = CommandDescriptor.visible.map { "        \(quoted("\($0.name):\($0.summary)"))\n" }.joined()
        return """
            #compdef mqlock
            # zsh completion of mqlock; made by 'mqlock completion zsh'
            _mqlock() {
                # Not named commands, which is what zsh itself keeps the names of programs in.
                local -a subcommands
                local -i i
                subcommands=(
            \(names)    )
                if ((CURRENT == 2)); then
                    _describe command subcommands
                    compadd -- --help --version
                    return
                fi
                case $words[2] in
                    \(runners.map(\.name).joined(separator: "|")))
                        for ((i = 3; i < CURRENT; i++)); do
                            [[ $words[i] == -- ]] || continue
                            words=("${(@)words[i+1,-1]}")
                            ((CURRENT -= i))
                            _normal
                            return
                        done
                        ;;
                esac
                shift words
                ((CURRENT--))
                case $words[1] in
            \(zshCommands)    esac
            }
            # Whether the shell has loaded this as a function, or somebody has sourced it.
            if [[ $funcstack[1] == _mqlock ]]; then
                _mqlock "$@"
            else
                compdef _mqlock mqlock
            fi

            """
    }

    private static var zshCommands: String {
        CommandDescriptor.visible.map { command in
            var specs = command.allOptions.flatMap(zshSpecs)
            if !command.operandWords.isEmpty {
                specs.append("'1:which:(\(command.operandWords.joined(separator: " ")))'")
            } else if !command.operands.isEmpty {
                // Nothing to offer, and no message either: with one the shell would show the options before it
                // completes.
                specs.append("'1:name:()'")
            }
            if command.takesFile { specs.append("'2:file:_files'") }
            if command.completesCommand { specs.append("'*:command:(--)'") }
            return "        \(command.name))\n            _arguments -s \\\n                "
                + specs.joined(separator: " \\\n                ") + " ;;\n"
        }.joined()
    }

    private static func zshSpecs(_ option: OptionDescriptor) -> [String] {
        let summary = option.summary.filter { !"[]:\\".contains($0) }
        let value =
            switch option.value {
            case .none: ""
            case .text(let placeholder): ":\(placeholder): "
            case .file(let placeholder): ":\(placeholder):_files"
            case .oneOf(let placeholder, let words): ":\(placeholder):(\(words.joined(separator: " ")))"
            }
        // One spelling excludes the other.
        let others = "(\(option.spellings.joined(separator: " ")))"
        return option.spellings.map { spelling in
            let attached = option.value == .none ? "" : spelling.hasPrefix("--") ? "=" : "+"
            return quoted("\(others)\(spelling)\(attached)[\(summary)]\(value)")
        }
    }
}
