import MQLock

/// What the command line asks for, in typed values. Parsing reads nothing except its words.
enum Invocation: Equatable {
    case help(CommandDescriptor.Kind?)
    case version
    case run(RunOptions)
    case elect(ElectOptions)
    case show(InspectionOptions)
    case list(ListOptions)
    case observe(InspectionOptions)
    case breaking(InspectionOptions)
    case clean(CleanOptions)
    case shards(ShardsOptions)
    case doctor(DoctorOptions)
    case fence(FenceOptions)
    case demo(DemoOptions, BrokerSource)
    case demoWorker([String], BrokerSource)
    case bench(BenchOptions, BrokerSource)
    case benchWorker([String])
    case completion(Completion.Shell)
    case manual

    /// Whether it talks to a broker, which takes time and threads.
    var talks: Bool {
        switch self {
        case .help, .version, .completion, .manual, .fence: false
        default: true
        }
    }

    /// - Parameter arguments: the words after the program's name.
    static func parse(_ arguments: [String]) throws(CommandFailure) -> Self {
        guard let first = arguments.first else {
            throw .usage("a command is needed: \(CommandDescriptor.visible.map(\.name).joined(separator: ", "))")
        }
        switch first {
        case "--help", "-h": return .help(nil)
        case "--version": return .version
        default: break
        }
        guard let descriptor = CommandDescriptor.named(first) else { throw unknown(first) }
        let words = try ArgumentReader.read(arguments.dropFirst(), descriptor)
        if words.has(.help) { return .help(descriptor.kind) }
        switch descriptor.kind {
        case .run: return .run(try RunOptions(words))
        case .elect: return .elect(try ElectOptions(words))
        case .show: return .show(try InspectionOptions(words, descriptor, patience: .seconds(2)))
        case .list: return .list(try ListOptions(words))
        case .observe: return .observe(try InspectionOptions(words, descriptor, patience: .seconds(2)))
        case .breaking: return .breaking(try InspectionOptions(words, descriptor, patience: .seconds(5)))
        case .clean: return .clean(try CleanOptions(words))
        case .shards: return .shards(try ShardsOptions(words))
        case .doctor: return .doctor(try DoctorOptions(words))
        case .fence: return .fence(try FenceOptions(words))
        case .demo: return .demo(try DemoOptions(words), try BrokerSource(words, descriptor))
        case .demoWorker: return .demoWorker(words.passed, try BrokerSource(words, descriptor))
        case .bench: return .bench(try BenchOptions(words), try BrokerSource(words, descriptor))
        case .benchWorker: return .benchWorker(words.passed)
        case .completion: return .completion(try shell(words))
        case .help: return try help(words)
        case .guardian: throw .usage("'guard' is started by 'mqlock run', never by hand")
        }
    }

    private static func unknown(_ word: String) -> CommandFailure {
        let what = word.hasPrefix("-") ? "option" : "command"
        let candidates = word.hasPrefix("-") ? ["--help", "--version"] : CommandDescriptor.visible.map(\.name)
        return .usage(
            "unknown \(what) '\(word.escapedForDisplay)'\(Suggestion.phrase(for: word, among: candidates))")
    }

    private static func shell(_ words: ReadArguments) throws(CommandFailure) -> Completion.Shell {
        let known = Completion.Shell.allCases.map(\.rawValue)
        guard words.operands.count == 1, words.command == nil else {
            throw .usage("name one shell: \(known.joined(separator: ", "))", "completion")
        }
        guard let shell = Completion.Shell(rawValue: words.operands[0]) else {
            let word = words.operands[0]
            throw .usage(
                """
                no completion for '\(word.escapedForDisplay)', only for \(known.joined(separator: ", "))\
                \(Suggestion.phrase(for: word, among: known))
                """, "completion")
        }
        return shell
    }

    private static func help(_ words: ReadArguments) throws(CommandFailure) -> Self {
        guard words.operands.count <= 1 else { throw .usage("help is for one command at a time", "help") }
        guard !words.has(.manual) else {
            guard words.operands.isEmpty else { throw .usage("the manual page is about all commands", "help") }
            return .manual
        }
        guard let topic = words.operands.first else { return .help(nil) }
        guard let descriptor = CommandDescriptor.named(topic), !descriptor.isHidden else { throw unknown(topic) }
        return .help(descriptor.kind)
    }
}

extension ReadArguments {
    /// The words that are parsed elsewhere, unchanged.
    fileprivate var passed: [String] { operands + (command.map { ["--"] + $0 } ?? []) }
}
