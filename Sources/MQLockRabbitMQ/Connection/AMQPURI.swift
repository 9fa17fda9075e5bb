import MQLock

/// Parses AMQP URIs as RabbitMQ defines them: https://www.rabbitmq.com/docs/uri-spec and uri-query-parameters. In place
/// of one host there can be several, separated by commas, each with its own port or the default port.
///
/// No error quotes a part of the URI that can contain the password. So a URI that is too malformed to separate its
/// parts is not quoted at all.
enum AMQPURI {
    static func parse(_ text: String) throws(ConnectionFailure) -> Endpoint {
        var rest = text[...]
        var endpoint = Endpoint()
        if consumePrefix("amqp://", of: &rest) {
            endpoint.port = 5672
        } else if consumePrefix("amqps://", of: &rest) {
            endpoint.port = 5671
            endpoint.tls = Endpoint.TLS()
        } else {
            throw failure("it has to begin with amqp:// or amqps://")
        }
        guard !rest.utf8.contains(UInt8(ascii: "#")) else {
            throw failure("it has no use for a fragment; write # as %23")
        }
        guard rest.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw failure("it contains a blank, a control character or one outside ASCII; percent-encode it")
        }

        // A URI may contain it there. But our parser ends a password at a / or ?, and what follows would be shown.
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        guard !rest[authority.endIndex...].contains("@") else {
            throw failure("behind the host an @ has to be written as %40 (in user and password, / as %2f and ? as %3f)")
        }

        let scheme = text[..<rest.startIndex]
        var query: Substring?
        if let mark = rest.firstIndex(of: "?") {
            query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        if let slash = rest.firstIndex(of: "/") {
            let vhost = rest[rest.index(after: slash)...]
            guard !vhost.contains("/") else {
                throw failure("more than one / follows the host; write a / in the virtual host as %2f")
            }
            endpoint.vhost = try shortString(vhost, "virtual host")
            rest = rest[..<slash]
        }
        try parseAuthority(rest, into: &endpoint)
        if let query { try parseQuery(query, into: &endpoint) }
        if endpoint.vhost.isEmpty {
            let query = query.map { "?\(shown($0, extra: endpoint.extra))" } ?? ""
            endpoint.withoutBareSlash = "\(scheme)\(shown(authority: rest))\(query)"
        }
        return endpoint
    }

    // MARK: Without secrets

    private static func shown(authority: Substring) -> String {
        guard let at = authority.lastIndex(of: "@"), let colon = authority[..<at].firstIndex(of: ":") else {
            return String(authority)
        }
        return "\(authority[...colon])***\(authority[at...])"
    }

    /// A parameter that belongs neither to AMQP URIs nor to us can be anything, such as the rest of a password with a ?
    /// in it.
    private static func shown(_ query: Substring, extra: [String: String]) -> String {
        query.split(separator: "&").map { item in
            guard let key = PercentCoding.uri.decode(item.prefix { $0 != "=" }, .lenient),
                key == "proof" || extra[key] == nil
            else { return "***" }
            return String(item)
        }.joined(separator: "&")
    }

    // MARK: Authority

    private static func parseAuthority(
        _ authority: Substring, into endpoint: inout Endpoint
    ) throws(ConnectionFailure) {
        var hostAndPort = authority
        if let at = authority.lastIndex(of: "@") {
            let userInfo = authority[..<at]
            guard !userInfo.contains("@") else {
                throw failure("there is more than one @; write an @ in user or password as %40")
            }
            hostAndPort = authority[authority.index(after: at)...]
            let colon = userInfo.firstIndex(of: ":") ?? userInfo.endIndex
            endpoint.user = try shortString(userInfo[..<colon], "user")
            let password = try decoded(userInfo[colon...].dropFirst(), "password")
            // A longer one would not fit the frame that carries it; nobody uses one.
            guard password.utf8.count <= 4096 else { throw failure("the password is longer than 4096 bytes") }
            endpoint.password = password
        }
        let parts = hostAndPort.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count <= maximumHosts else { throw failure("it names more than \(maximumHosts) hosts") }
        var hosts: [Endpoint.Host] = []
        for part in parts {
            guard parts.count == 1 || !part.isEmpty else { throw failure("between two commas there has to be a host") }
            let host = try host(part, default: endpoint)
            guard !hosts.contains(host) else { throw failure("it names the same host twice") }
            hosts.append(host)
        }
        (endpoint.host, endpoint.port) = (hosts[0].name, hosts[0].port)
        endpoint.furtherHosts = Array(hosts.dropFirst())
    }

    /// Each host gets its share of the time to connect.
    private static let maximumHosts = 16

    private static func host(
        _ text: Substring, default endpoint: Endpoint
    ) throws(ConnectionFailure) -> Endpoint.Host {
        let (host, port) = try splitPort(text)
        guard let port else { return Endpoint.Host(name: host ?? endpoint.host, port: endpoint.port) }
        guard port.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(port), number > 0 else {
            throw failure(
                "the port is not a number from 1 to 65535 (in user and password, write / as %2f and ? as %3f)")
        }
        return Endpoint.Host(name: host ?? endpoint.host, port: Int(number))
    }

    /// Absent and empty are the same here: the default.
    private static func splitPort(
        _ text: Substring
    ) throws(ConnectionFailure) -> (host: String?, port: Substring?) {
        var host = text
        var port = text[text.endIndex...]
        if text.first == "[" {
            guard let end = text.firstIndex(of: "]") else { throw failure("the ] after the IPv6 address is missing") }
            let address = try decoded(text[text.index(after: text.startIndex)..<end], "host")
            guard address.contains(":") else { throw failure("between [ and ] there has to be an IPv6 address") }
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.first == ":" else { throw failure("only :port can follow the ]") }
            return (address, rest.count > 1 ? rest.dropFirst() : nil)
        }
        if let colon = text.firstIndex(of: ":") {
            host = text[..<colon]
            port = text[text.index(after: colon)...]
            guard !port.contains(":") else { throw failure("an IPv6 address has to stand in [ ]") }
        }
        guard !host.contains(where: { $0 == "[" || $0 == "]" }) else { throw failure("[ or ] is out of place") }
        return (host.isEmpty ? nil : try decoded(host, "host"), port.isEmpty ? nil : port)
    }

    // MARK: Percent encoding

    private static func shortString(_ text: Substring, _ part: String) throws(ConnectionFailure) -> String {
        let text = try decoded(text, part)
        guard text.utf8.count <= 255 else { throw failure("the \(part) is longer than 255 bytes") }
        return text
    }

    static func decoded(_ text: Substring, _ part: String) throws(ConnectionFailure) -> String {
        guard let bytes = PercentCoding.uri.bytes(of: text, .lenient) else {
            throw failure("in the \(part), a % is not followed by two hexadecimal digits; write % itself as %25")
        }
        // The library takes C strings: a NUL would truncate them silently.
        guard !bytes.contains(0) else { throw failure("the \(part) contains a NUL byte") }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure("the \(part) is not UTF-8 once its percent encoding is undone")
        }
        return text
    }

    /// Schemes are case-insensitive (RFC 3986, 3.1).
    private static func consumePrefix(_ prefix: String, of text: inout Substring) -> Bool {
        guard text.prefix(prefix.count).lowercased() == prefix else { return false }
        text = text.dropFirst(prefix.count)
        return true
    }

    static func failure(_ text: String) -> ConnectionFailure {
        ConnectionFailure(.configuration("invalid AMQP URI: \(text)"))
    }
}
