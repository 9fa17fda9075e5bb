extension Completion {
    static var bash: String {
        let names = CommandDescriptor.visible.map(\.name) + ["--help", "--version"]
        return """
            # bash completion of mqlock; made by 'mqlock completion bash'

            # Completes the words from $1 on as a command line of their own.
            _mqlock_command() {
                local start=$1 name function
                if declare -F _comp_command_offset >/dev/null; then _comp_command_offset "$start"; return; fi
                if declare -F _command_offset >/dev/null; then _command_offset "$start"; return; fi
                # Without the package bash-completion: by what the shell itself knows.
                if ((start == COMP_CWORD)); then
                    COMPREPLY=($(compgen -c -- "${COMP_WORDS[COMP_CWORD]}"))
                    return
                fi
                name=${COMP_WORDS[start]}
                function=$(complete -p -- "$name" 2>/dev/null | sed -n 's/.* -F \\([^ ]*\\) .*/\\1/p')
                if [[ -n $function ]] && declare -F "$function" >/dev/null; then
                    COMP_WORDS=("${COMP_WORDS[@]:start}")
                    ((COMP_CWORD -= start))
                    COMP_LINE="${COMP_WORDS[*]}" COMP_POINT=${#COMP_LINE}
                    "$function" "$name" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
                else
                    _mqlock_files "${COMP_WORDS[COMP_CWORD]}"
                fi
            }

            # Names may have spaces.
            _mqlock_files() {
                local IFS=$'\\n'
                COMPREPLY=($(compgen -f -- "$1"))
                compopt -o filenames 2>/dev/null
            }

            _mqlock() {
                local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
                local words='' choices='' valued='' files='' runs='' prefix='' operands=0 i word
                COMPREPLY=()
                if ((COMP_CWORD == 1)); then
                    COMPREPLY=($(compgen -W '\(names.joined(separator: " "))' -- "$current"))
                    return
                fi
                case $command in
            \(bashCommands)    esac

                for ((i = 2; i < COMP_CWORD; i++)); do
                    word=${COMP_WORDS[i]}
                    case $word in
                        --)
                            [[ -z $runs ]] || _mqlock_command $((i + 1))
                            return
                            ;;
                        =) ((i++)) ;;
                        -*)
                            # Its value is the next word; with --name=VALUE readline makes the = a word of its own.
                            if [[ $valued == *" $word "* && ${COMP_WORDS[i+1]} != = ]]; then ((i++)); fi
                            ;;
                        *) ((operands++)) ;;
                    esac
                done

                if [[ $current == = ]]; then
                    current=''
                elif [[ $previous == = ]]; then
                    previous=${COMP_WORDS[COMP_CWORD-2]}
                elif [[ $current == --*=* ]]; then
                    previous=${current%%=*} prefix=$previous= current=${current#*=}
                fi
                if [[ $valued == *" $previous "* ]]; then
                    case $previous in
            \(bashValues)        esac
                    return
                fi

                if [[ $current == -* ]] || { [[ -z $choices$files ]] && ((operands == 0)); } || { ((operands > 0)) && [[ -n $runs ]]; }; then
                    COMPREPLY=($(compgen -W "$words" -- "$current"))
                fi
                if [[ $current != -* ]] && ((operands == 0)); then
                    COMPREPLY+=($(compgen -W "$choices" -- "$current"))
                elif [[ $current != -* && -n $files ]] && ((operands == 1)); then
                    _mqlock_files "$current"
                fi
            }
            complete -F _mqlock mqlock

            """
    }

    private static var bashCommands: String {
        CommandDescriptor.visible.map { command in
            let options = command.allOptions
            var words = options.map { "--\($0.long)" }
            if command.completesCommand { words.append("--") }
            let valued = options.filter { $0.value != .none }.flatMap(\.spellings)
            var text = "        \(command.name))\n            words='\(words.joined(separator: " "))'\n"
            if !valued.isEmpty { text += "            valued=' \(valued.joined(separator: " ")) '\n" }
            if !command.operandWords.isEmpty {
                text += "            choices='\(command.operandWords.joined(separator: " "))'\n"
            }
            if command.takesFile { text += "            files=yes\n" }
            if command.completesCommand { text += "            runs=yes\n" }
            return text + "            ;;\n"
        }.joined()
    }

    /// The completions of options' values. No two commands have an option of the same name with different ones.
    private static var bashValues: String {
        var text = ""
        var seen: Set<String> = []
        for option in CommandDescriptor.visible.flatMap(\.allOptions) where seen.insert(option.long).inserted {
            let pattern = option.spellings.joined(separator: " | ")
            switch option.value {
            case .none, .text: continue
            case .file: text += "            \(pattern)) _mqlock_files \"$current\" ;;\n"
            case .oneOf(_, let words):
                text += "            \(pattern))\n"
                text += "                COMPREPLY=($(compgen -P \"$prefix\" -W '\(words.joined(separator: " "))' "
                text += "-- \"$current\")) ;;\n"
            }
        }
        return text
    }
}
