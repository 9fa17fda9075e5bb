import MQLock

/// The words of one subcommand, sorted by its table: options, operands, and the words after `--`.
struct ReadArguments: Equatable {
    var values: [OptionDescriptor.Key: String] = [:]
    var operands: [String] = []
    /// The words after `--`; nil without one.
    var command: [String]?

    func has(_ key: OptionDescriptor.Key) -> Bool { values[key] != nil }
}

/// Sorts words by a table of options. Accepts `--long VALUE`, `--long=VALUE`, `-x VALUE`, `-xVALUE` and clusters `-nv`.
/// If an option is given twice, the last one counts.
struct ArgumentReader {
    let descriptor: CommandDescriptor
    private var result = ReadArguments()
    private var rest: ArraySlice<String>

    private init(_ arguments: some Collection<String>, _ descriptor: CommandDescriptor) {
        self.descriptor = descriptor
        rest = Array(arguments)[...]
    }

    static func read(
        _ arguments: some Collection<String>, _ descriptor: CommandDescriptor
    ) throws(CommandFailure) -> ReadArguments {
        var reader = Self(arguments, descriptor)
        try reader.read()
        return reader.result
    }

    private mutating func read() throws(CommandFailure) {
        while let word = rest.popFirst() {
            if word == "--" {
                result.command = Array(rest)
                return
            }
            if word.hasPrefix("--") {
                try readLong(word)
            } else if word.hasPrefix("-"), word != "-" {
                try readShort(word)
            } else {
                result.operands.append(word)
            }
        }
    }

    private mutating func readLong(_ word: String) throws(CommandFailure) {
        let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let name = String(parts[0])
        guard let option = descriptor.allOptions.first(where: { $0.long == name }) else {
            if descriptor.passesArguments { return result.operands.append(word) }
            let known = descriptor.allOptions.map(\.long)
            let hint = Suggestion.nearest(to: name, among: known).map { "; did you mean '--\($0)'?" } ?? ""
            throw usage("unknown option '--\(name.escapedForDisplay)'\(hint)")
        }
        let attached = parts.count == 2 ? String(parts[1]) : nil
        if option.value == .none, attached != nil { throw usage("--\(name) takes no value") }
        try store(option, attached, as: "--\(name)")
    }

    private mutating func readShort(_ word: String) throws(CommandFailure) {
        if descriptor.passesArguments, word != "-h" { return result.operands.append(word) }
        var letters = word.dropFirst()
        while let letter = letters.popFirst() {
            guard let option = descriptor.allOptions.first(where: { $0.short == letter }) else {
                let long = String(word.dropFirst())
                let hint =
                    descriptor.allOptions.contains { $0.long == long } ? "; did you mean '--\(long)'?" : ""
                throw usage("unknown option '-\(String(letter).escapedForDisplay)'\(hint)")
            }
            if option.value == .none {
                try store(option, nil, as: "-\(letter)")
            } else {
                return try store(option, letters.isEmpty ? nil : String(letters), as: "-\(letter)")
            }
        }
    }

    private mutating func store(
        _ option: OptionDescriptor, _ attached: String?, as spelling: String
    ) throws(CommandFailure) {
        guard let placeholder = option.value.placeholder else {
            result.values[option.key] = ""
            return
        }
        // `--` is never a value: far more often it shows that a value was forgotten.
        if let attached {
            result.values[option.key] = attached
        } else if let next = rest.first, next != "--" {
            rest.removeFirst()
            result.values[option.key] = next
        } else {
            throw usage("\(spelling) needs a value: \(spelling) \(placeholder)")
        }
    }

    private func usage(_ message: String) -> CommandFailure { .usage(message, descriptor.name) }
}
