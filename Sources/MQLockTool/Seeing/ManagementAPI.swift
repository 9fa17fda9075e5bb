import Foundation
import MQLock
import MQLockRabbitMQ

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// The few calls of RabbitMQ's management API (plugin `rabbitmq_management`) that a forced break needs.
struct ManagementAPI: Sendable {
    struct Connection: Equatable, Sendable {
        /// The broker's name for it: the two addresses.
        let name: String
        /// The client's name for it.
        let given: String?

        var shown: String { "\(name.escapedForDisplay) (\((given ?? "no name").escapedForDisplay))" }
    }

    private let base: String
    private let authorization: String
    private static let timeout: TimeInterval = 10
    private static let maximumAnswer = 64 << 20

    /// - Parameter credentials: the broker URI's, for a URL that has none.
    init(_ url: String, credentials: RabbitMQInspector.Credentials) throws(LockError) {
        guard var parts = URLComponents(string: url), ["http", "https"].contains(parts.scheme?.lowercased()),
            let host = parts.host, !host.isEmpty, parts.query == nil, parts.fragment == nil
        else {
            // Not repeated: it may hold a password.
            throw LockError(
                .invalidConfiguration, "the management URL has to look like http://user:password@host:15672")
        }
        let user = parts.user ?? credentials.user
        let password = parts.user == nil ? credentials.password : parts.password ?? ""
        parts.user = nil
        parts.password = nil
        while parts.path.hasSuffix("/") { parts.path.removeLast() }
        guard let base = parts.string else {
            throw LockError(.invalidConfiguration, "the management URL makes no sense")
        }
        self.base = base
        authorization = "Basic " + Data("\(user):\(password)".utf8).base64EncodedString()
    }

    func connections() async throws(LockError) -> [Connection] {
        struct Entry: Decodable {
            let name: String
            let user_provided_name: String?
        }
        let entries = try await get([Entry].self, "/api/connections?columns=name,user_provided_name") ?? []
        return entries.map { Connection(name: $0.name, given: $0.user_provided_name) }
    }

    /// The sessions that listen for questions about the name.
    func listening(for name: LockName, vhost: String) async throws(LockError) -> Set<String> {
        struct Entry: Decodable {
            let destination: String
            let routing_key: String
        }
        let path = "/api/exchanges/\(Self.segment(vhost))/mqlock.v1.control/bindings/source"
        let prefix = "mqlock.v1.control/"
        let key = name.string.percentEncoded
        let entries = try await get([Entry].self, path) ?? []
        return Set(
            entries.filter { $0.routing_key.utf8.elementsEqual(key.utf8) && $0.destination.hasPrefix(prefix) }
                .map { String($0.destination.dropFirst(prefix.count)) })
    }

    /// The connection whose turn it is, where the broker knows: the owner of an exclusive queue, or the single active
    /// consumer.
    func activeConnection(of name: LockName, vhost: String) async throws(LockError) -> String? {
        struct Named: Decodable { let name: String? }
        struct Channel: Decodable { let connection_name: String? }
        struct Consumer: Decodable {
            let activity_status: String?
            let channel_details: Channel?
        }
        struct Queue: Decodable {
            let owner_pid_details: Named?
            let consumer_details: [Consumer]?
        }
        let queue = "mqlock.v1/\(name.string.percentEncoded)"
        let path = "/api/queues/\(Self.segment(vhost))/\(Self.segment(queue))"
        guard let queue = try await get(Queue.self, path) else { return nil }
        if let owner = queue.owner_pid_details?.name { return owner }
        return queue.consumer_details?.first { $0.activity_status == "single_active" }?.channel_details?.connection_name
    }

    /// Has the broker close a connection: all that it carries is given on at once.
    func close(_ connection: String, reason: String) async throws(LockError) {
        _ = try await send(
            "DELETE", "/api/connections/\(Self.segment(connection))", ["X-Reason": reason.escapedForDisplay])
    }

    // MARK: HTTP

    /// Nil for what is not there.
    private func get<Value: Decodable>(_: Value.Type, _ path: String) async throws(LockError) -> Value? {
        guard let data = try await send("GET", path) else { return nil }
        do {
            return try JSONDecoder().decode(Value.self, from: data)
        } catch {
            throw LockError(.internalError, "the management API's answer makes no sense", underlying: error)
        }
    }

    private func send(
        _ method: String, _ path: String, _ headers: [String: String] = [:]
    ) async throws(LockError) -> Data? {
        guard let url = URL(string: base + path) else {
            throw LockError(.invalidConfiguration, "the management URL makes no sense")
        }
        var request = URLRequest(url: url, timeoutInterval: Self.timeout)
        request.httpMethod = method
        request.setValue(authorization, forHTTPHeaderField: "Authorization")
        for (key, value) in headers { request.setValue(value, forHTTPHeaderField: key) }
        let (data, status) = try await Self.exchange(request)
        switch status {
        case 200..<300:
            guard data.count <= Self.maximumAnswer else {
                throw LockError(.internalError, "the management API's answer is too long")
            }
            return data
        case 404: return nil
        case 401, 403:
            throw LockError(
                .accessRefused,
                "the management API refuses us (\(status)): the user needs the tag 'administrator' or 'monitoring'")
        default: throw LockError(.unreachable, "the management API answered with the status \(status)")
        }
    }

    private static func exchange(_ request: URLRequest) async throws(LockError) -> (Data, Int) {
        let session = URLSession(configuration: .ephemeral)
        defer { session.invalidateAndCancel() }
        do {
            let (data, response) = try await session.data(for: request)
            return (data, (response as? HTTPURLResponse)?.statusCode ?? 0)
        } catch {
            throw LockError(
                .unreachable, "the management API cannot be reached: \(error.localizedDescription.escapedForDisplay)",
                underlying: error)
        }
    }

    /// As one segment of a path: `/` is encoded, too.
    private static func segment(_ text: String) -> String { PercentCoding.uri.encode(text) }
}
