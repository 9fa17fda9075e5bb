/// Completion scripts, made from the table of commands.
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

    // MARK: bash

    private static var bash: String {
        let commands = CommandDescriptor.visible
        var cases = ""
        for command in commands {
            let words = command.allOptions.map { "--\($0.long)" } + command.operandWords
            let files = command.takesFile ? " files=1" : ""
            cases += "        \(command.name)) words='\(words.joined(separator: " "))'\(files) ;;\n"
        }
        let names = commands.map(\.name) + ["--help", "--version"]
        return """
            # bash completion of mqlock; made by 'mqlock completion bash'
            _mqlock() {
                local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} words files='' i
                for ((i = 2; i < COMP_CWORD; i++)); do
                    if [[ ${COMP_WORDS[i]} == -- ]]; then
                        if ((i + 1 == COMP_CWORD)); then
                            COMPREPLY=($(compgen -c -- "$current"))
                        else
                            COMPREPLY=($(compgen -f -- "$current"))
                        fi
                        return
                    fi
                done
                if ((COMP_CWORD == 1)); then
                    COMPREPLY=($(compgen -W '\(names.joined(separator: " "))' -- "$current"))
                    return
                fi
                case $previous in
            \(bashValues)    esac
                case ${COMP_WORDS[1]} in
            \(cases)    esac
                COMPREPLY=($(compgen -W "$words" -- "$current"))
                [[ -z $files ]] || COMPREPLY+=($(compgen -f -- "$current"))
            }
            complete -F _mqlock mqlock

            """
    }

    private static var bashValues: String {
        var text = ""
        var seen: Set<String> = []
        for option in CommandDescriptor.visible.flatMap(\.allOptions) where seen.insert(option.long).inserted {
            let names = ["--\(option.long)"] + (option.short.map { ["-\($0)"] } ?? [])
            let pattern = names.joined(separator: " | ")
            switch option.value {
            case .none: continue
            case .text: text += "        \(pattern)) return ;;\n"
            case .file: text += "        \(pattern)) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n"
            case .oneOf(_, let words):
                text +=
                    "        \(pattern)) COMPREPLY=($(compgen -W '\(words.joined(separator: " "))' -- \"$current\"))\n"
                text += "            return ;;\n"
            }
        }
        return text
    }

    // MARK: zsh

    private static var zsh: String {
        var cases = ""
        for command in CommandDescriptor.visible {
            var specs = command.allOptions.flatMap(zshSpecs)
            if command.takesCommand {
                specs += ["'1:name: '", "'*::command:_normal'"]
            } else if !command.operandWords.isEmpty {
                specs.append("'1:which:(\(command.operandWords.joined(separator: " ")))'")
            }
            if command.takesFile { specs += ["'2:file:_files'", "'*::command:_normal'"] }
            cases += "        \(command.name))\n            _arguments -s \\\n                "
            cases += specs.joined(separator: " \\\n                ") + " ;;\n"
        }
        let names = CommandDescriptor.visible.map { "        \(quoted("\($0.name):\($0.summary)"))\n" }.joined()
        return """
            #compdef mqlock
            # zsh completion of mqlock; made by 'mqlock completion zsh'
            _mqlock() {
                local -a commands
                commands=(
            \(names)    )
                if ((CURRENT == 2)); then
                    _describe command commands
                    compadd -- --help --version
                    return
                fi
                shift words
                ((CURRENT--))
                case $words[1] in
            \(cases)    esac
            }
            _mqlock "$@"

            """
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
        let long = option.value == .none ? "--\(option.long)" : "--\(option.long)="
        let names = [long] + (option.short.map { ["-\($0)"] } ?? [])
        return names.map { quoted("\($0)[\(summary)]\(value)") }
    }

    // MARK: fish

    private static var fish: String {
        var text = "# fish completion of mqlock; made by 'mqlock completion fish'\ncomplete -c mqlock -f\n"
        for option in [OptionDescriptor.help, .version] {
            text += "complete -c mqlock -n __fish_use_subcommand" + fishNames(option) + "\n"
        }
        for command in CommandDescriptor.visible {
            text += "complete -c mqlock -n __fish_use_subcommand -a \(command.name) -d \(quoted(command.summary))\n"
            let condition = "complete -c mqlock -n '__fish_seen_subcommand_from \(command.name)'"
            for option in command.allOptions { text += condition + fishNames(option) + "\n" }
            if !command.operandWords.isEmpty {
                text += "\(condition) -a \(quoted(command.operandWords.joined(separator: " ")))\n"
            }
            if command.takesFile { text += "\(condition) -F\n" }
            if command.takesCommand {
                text += "complete -c mqlock -n '__fish_seen_subcommand_from \(command.name);"
                text += " and contains -- -- (commandline -opc)' -a '(__fish_complete_subcommand)'\n"
            }
        }
        return text
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

    private static func quoted(_ text: String) -> String {
        "'" + text.replacing("'", with: "'\\''") + "'"
    }
}
