import MQLock

/// The manual page mqlock(1), made from the table of commands, in the language of man(7).
enum ManualPage {
    static var text: String {
        var page = Roff()
        page.macro("TH MQLOCK 1 \(Mqlock.releaseDate) \"mqlock \(Mqlock.version)\" \"User Commands\"")
        page.macro("nh")
        page.macro("ad l")
        page.section("NAME")
        page.paragraph("mqlock - makes your message broker the lock service")
        page.section("SYNOPSIS")
        for (index, command) in CommandDescriptor.visible.enumerated() {
            if index > 0 { page.macro("br") }
            page.raw(Roff.bold("mqlock \(command.name)") + Roff.escaped(command.usageTail))
        }
        page.section("DESCRIPTION")
        page.notes(
            """
            Locks, elections and fencing for commands, by a message broker that is there already: RabbitMQ or Kafka. Each command has its options, and the exit statuses that are its own, below.

            DUR is \(DurationText.accepted).
            """)
        page.section("COMMANDS")
        for command in CommandDescriptor.visible { page.command(command) }
        page.section("ENVIRONMENT")
        for (name, summary) in variables {
            page.macro("TP")
            page.raw(Roff.bold(name))
            page.paragraph(summary)
        }
        page.section("EXAMPLES")
        for (index, (summary, line)) in examples.enumerated() {
            if index > 0 { page.macro("PP") }
            page.paragraph(summary)
            page.notes("  " + line)
        }
        page.section("SEE ALSO")
        page.paragraph("flock(1), cron(8), systemd.service(5), rabbitmqctl(8)")
        return page.text
    }

    private static let variables = [
        (BrokerSource.variable, "The broker's URI, where neither --broker nor --broker-file is given."),
        (ManagementAPI.variable, "The URL of RabbitMQ's management API, where --management is not given."),
        ("\(FenceOptions.Variable.fence), \(FenceOptions.Variable.name)", "For mqlock fence: the token and the lock."),
    ]

    static let examples = [
        (
            "From every host's cron; the first runs it, the others skip it:",
            "mqlock run --once day nightly-report -- ./report"
        ),
        ("Wait for half a minute at most:", "mqlock run -w 30s accounts -- ./settle"),
        (
            "Of all hosts that campaign, one runs it:",
            "mqlock elect relay --restart --broker-file /etc/mqlock/broker -- ./relay"
        ),
        (
            "Nothing is written under a token that is stale:",
            "mqlock run job -- sh -c './work >new && mqlock fence check out.fence -- mv new out'"
        ),
    ]
}

extension CommandDescriptor {
    /// What follows the command's name in a usage line.
    var usageTail: String {
        (options.isEmpty ? "" : " [OPTION…]") + (operands.isEmpty ? "" : " \(operands)")
            + (takesCommand ? " -- COMMAND [ARG…]" : "")
    }
}

/// Text in the language of man(7).
private struct Roff {
    private(set) var text = ""

    mutating func macro(_ line: String) { text += ".\(line)\n" }

    /// A line that is already escaped.
    mutating func raw(_ line: String) { text += line + "\n" }

    mutating func paragraph(_ line: String) { raw(Self.escaped(line)) }

    mutating func section(_ title: String) { macro("SH \(title)") }

    mutating func command(_ command: CommandDescriptor) {
        macro("SS \"mqlock \(command.name)\"")
        raw(Self.bold("mqlock \(command.name)") + Self.escaped(command.usageTail))
        macro("PP")
        paragraph(command.summary.prefix(1).uppercased() + command.summary.dropFirst() + ".")
        for option in command.allOptions {
            macro("TP")
            let names = option.spellings.reversed().map(Self.bold).joined(separator: ", ")
            raw(names + (option.value.placeholder.map { " \\fI\(Self.escaped($0))\\fR" } ?? ""))
            paragraph(option.summary)
        }
        if !command.notes.isEmpty {
            macro("PP")
            notes(command.notes)
        }
    }

    /// Paragraphs separated by blank lines; lines that begin with a blank stay as they are.
    mutating func notes(_ notes: String) {
        var isVerbatim = false
        var isFirst = true
        var isNew = false
        for line in notes.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.allSatisfy({ $0 == " " }) {
                isNew = true
                continue
            }
            if line.hasPrefix(" ") != isVerbatim {
                macro(isVerbatim ? "fi" : "PP")
                if !isVerbatim { macro("nf") } else { macro("PP") }
                isVerbatim.toggle()
            } else if isNew, !isFirst {
                macro("PP")
            }
            (isNew, isFirst) = (false, false)
            raw(Self.escaped(String(line)))
        }
        if isVerbatim { macro("fi") }
    }

    static func bold(_ text: String) -> String { "\\fB\(escaped(text))\\fR" }

    static func escaped(_ text: String) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "'": result += "\\(aq"
            case "`": result += "\\(ga"
            case "^": result += "\\(ha"
            case "~": result += "\\(ti"
            default:
                if scalar.isASCII {
                    result.unicodeScalars.append(scalar)
                } else {
                    let digits = String(scalar.value, radix: 16, uppercase: true)
                    result += "\\[u" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits + "]"
                }
            }
        }
        // At the beginning of a line it would be a request.
        return result.hasPrefix(".") ? "\\&" + result : result
    }
}
