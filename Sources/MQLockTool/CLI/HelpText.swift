/// Help, made from the table of commands.
enum HelpText {
    private static let width = 100
    private static let column = 31

    static func text(for kind: CommandDescriptor.Kind?) -> String {
        guard let kind, let descriptor = CommandDescriptor.all.first(where: { $0.kind == kind }) else {
            return overview
        }
        return text(for: descriptor)
    }

    private static var overview: String {
        var text = "mqlock makes your message broker the lock service.\n\nusage: mqlock COMMAND [OPTION…] [ARG…]\n\n"
        for descriptor in CommandDescriptor.visible {
            text += entry("  \(descriptor.name)", descriptor.summary, column: 14)
        }
        text += "\n"
        for option in [OptionDescriptor.help, .version] { text += entry("  \(option.label)", option.summary) }
        return text + "\n'mqlock COMMAND --help' tells more.\n"
    }

    private static func text(for descriptor: CommandDescriptor) -> String {
        var text =
            "usage: mqlock \(descriptor.name)\(descriptor.usageTail)\n\n\(descriptor.summary.prefix(1).uppercased() + descriptor.summary.dropFirst()).\n\n"
        for option in descriptor.allOptions { text += entry("  \(option.label)", option.summary) }
        if !descriptor.notes.isEmpty { text += "\n\(descriptor.notes)\n" }
        return text
    }

    private static func entry(_ label: String, _ summary: String, column: Int = column) -> String {
        let margin = String(repeating: " ", count: column)
        var lines: [String] = []
        var line = label.count + 2 <= column ? label + margin.dropFirst(label.count) : label + "\n" + margin
        var length = column
        for word in summary.split(separator: " ") {
            if length + word.count > width {
                lines.append(line)
                (line, length) = (margin, column)
            }
            line += (length == column ? "" : " ") + word
            length += word.count + (length == column ? 0 : 1)
        }
        return (lines + [line]).joined(separator: "\n") + "\n"
    }
}
