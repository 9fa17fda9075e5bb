import MQLock

/// Where the command line says that the broker's URI comes from.
enum BrokerSource: Equatable {
    case uri(String)
    case file(String)
    /// `MQLOCK_BROKER`, else the default.
    case environment

    static let variable = "MQLOCK_BROKER"
    static let defaultURI = "amqp://127.0.0.1:5672"
}

extension BrokerSource {
    init(_ words: ReadArguments, _ descriptor: CommandDescriptor) throws(CommandFailure) {
        switch (words.values[.broker], words.values[.brokerFile]) {
        case (nil, nil): self = .environment
        case (let uri?, nil): self = .uri(uri)
        case (nil, let path?): self = .file(path)
        default: throw .usage("--broker and --broker-file exclude each other", descriptor.name)
        }
    }

    /// The URI, with a scheme that this version can serve.
    /// - Parameter environment: looks a variable up.
    func resolve(environment: (String) -> String?) throws(CommandFailure) -> String {
        let uri: String
        let origin: String
        switch self {
        case .uri(let given): (uri, origin) = (given, "--broker")
        case .file(let path): (uri, origin) = (try BrokerFile.read(path), "--broker-file")
        case .environment:
            // Set but empty is how a shell script says "not set".
            let value = environment(Self.variable).flatMap { $0.isEmpty ? nil : $0 }
            (uri, origin) = (value ?? Self.defaultURI, value == nil ? "the default" : Self.variable)
        }
        try Self.checkScheme(uri, origin)
        return uri
    }

    /// The scheme chooses the adapter. The message never repeats the URI, which may hold a password.
    private static func checkScheme(_ uri: String, _ origin: String) throws(CommandFailure) {
        guard let separator = uri.firstRange(of: "://") else {
            throw .usage("the broker of \(origin) is no URI; it looks like \(defaultURI)")
        }
        let scheme = uri[..<separator.lowerBound].lowercased()
        switch scheme {
        case "amqp", "amqps": return
        case "kafka":
            throw .usage("the broker of \(origin): kafka:// comes later, this version has amqp:// and amqps:// only")
        default:
            throw .usage(
                """
                the broker of \(origin): '\(scheme.prefix(20).description.escapedForDisplay)' is no broker that we \
                know, use amqp:// or amqps://
                """)
        }
    }
}
