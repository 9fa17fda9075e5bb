import Foundation
import MQLock
import MQLockRabbitMQ

/// The few calls of RabbitMQ's management API (plugin `rabbitmq_management`) that a forced break and a list need.
struct ManagementAPI: Sendable {
    struct Connection: Equatable, Sendable {
        /// The broker's name for it: the two addresses.
        let name: String
        /// The client's name for it.
        let given: String?
        /// The user that it is logged in as.
        var user: String?

        /// The session whose locks it carries; nil when it is none of ours.
        var session: String? {
            guard let given, given.hasPrefix("mqlock "), let words = given.range(of: " locks ", options: .backwards)
            else { return nil }
            return String(given[words.upperBound...])
        }

        var shown: String { "\(name.escapedForDisplay) (\((given ?? "no name").escapedForDisplay))" }
    }

    private let base: String
    private let authorization: String

    /// - Parameter credentials: the broker URI's, for a URL without any.
    init(_ url: String, credentials: RabbitMQInspector.Credentials) throws(LockError) {
        guard var parts = URLComponents(string: url), ["http", "https"].contains(parts.scheme?.lowercased()),
            let host = parts.host, !host.isEmpty, parts.query == nil, parts.fragment == nil
        else {
            // Not repeated: it may contain a password.
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
        let entries =
            try await get([ListedConnection].self, "/api/connections?columns=name,user_provided_name,user") ?? []
        return entries.map { Connection(name: $0.name, given: $0.user_provided_name, user: $0.user) }
    }

    /// The connections that have the lock according to the broker itself: the owner of its exclusive queue, or else
    /// those whose channel consumes its queue, or stands on its register, and has a message that it has not
    /// acknowledged. The broker collects the latter every 5 s.
    func holders(of name: LockName, vhost: String) async throws(LockError) -> Set<String> {
        let objects = try LockObjects(name, vhost: vhost)
        let queue = try await get(Queue.self, Self.path(queue: objects.queue, vhost))
        if let owner = queue?.owner_pid_details?.value?.name { return [owner] }
        let consumers = queue?.consumer_details ?? []
        if let active = consumers.first(where: { $0.activity_status == "single_active" }) {
            return Set([active.channel_details?.value?.connection_name].compactMap(\.self))
        }
        // A token may have been fetched without a consumer. Its holder then has a consumer on the register.
        let register = try await get(Queue.self, Self.path(queue: objects.register, vhost))
        var holders: Set<String> = []
        for channel in (consumers + (register?.consumer_details ?? [])).prefix(Self.maximumChannels) {
            guard let details = channel.channel_details?.value, let connection = details.connection_name,
                let name = details.name,
                let state = try await get(Channel.self, "/api/channels/\(Self.segment(name))"),
                state.messages_unacknowledged ?? 0 > 0
            else { continue }
            holders.insert(connection)
        }
        return holders
    }

    private static let maximumChannels = 100

    /// The policies, and the operator policies, of a virtual host.
    func policies(vhost: String) async throws(LockError) -> [[Policy]] {
        var kinds: [[Policy]] = []
        for kind in ["policies", "operator-policies"] {
            kinds.append(try await get([Policy].self, "/api/\(kind)/\(Self.segment(vhost))") ?? [])
        }
        return kinds
    }

    /// The names of the locks whose queues are in use, as the broker saw it at most some seconds ago.
    func locksInUse(vhost: String) async throws(LockError) -> Set<LockName> {
        let columns = "name,consumers,messages_unacknowledged,owner_pid_details"
        let entries = try await get([ListedQueue].self, "/api/queues/\(Self.segment(vhost))?columns=\(columns)") ?? []
        return Set(entries.compactMap(\.lockInUse))
    }

    /// The queues of all locks, as the broker saw them at most some seconds ago.
    func queues(vhost: String) async throws(LockError) -> [UnusedLocks.Queue] {
        let columns = "name,consumers,messages,messages_unacknowledged,owner_pid_details,arguments"
        let entries = try await get([ListedQueue].self, "/api/queues/\(Self.segment(vhost))?columns=\(columns)") ?? []
        return entries.map { entry in
            UnusedLocks.Queue(
                name: entry.name, isUsed: entry.isUsed, messages: entry.messages ?? 0,
                isSingleActiveConsumer: entry.arguments?.value?.isSingleActiveConsumer ?? false,
                isQuorum: entry.arguments?.value?.type == "quorum",
                deliveryLimit: entry.arguments?.value?.deliveryLimit)
        }
    }

    // MARK: Answers

    struct ListedConnection: Decodable {
        let name: String
        let user_provided_name: String?
        let user: String?
    }

    struct ListedQueue: Decodable {
        let name: String
        let consumers: Int?
        let messages_unacknowledged: Int?
        let owner_pid_details: Known<Named>?
        var messages: Int?
        var arguments: Known<Arguments>?

        var isUsed: Bool {
            consumers ?? 0 > 0 || messages_unacknowledged ?? 0 > 0 || owner_pid_details?.value?.name != nil
        }

        /// Nil also for a queue that is not a lock's.
        var lockInUse: LockName? { isUsed ? LockObjects.name(ofQueue: name) : nil }
    }

    struct Arguments: Decodable {
        var isSingleActiveConsumer: Bool?
        var type: String?
        var deliveryLimit: Int64?

        enum CodingKeys: String, CodingKey {
            case isSingleActiveConsumer = "x-single-active-consumer"
            case type = "x-queue-type"
            case deliveryLimit = "x-delivery-limit"
        }
    }

    /// An object, or the empty array that stands in for it until the API has collected it.
    struct Known<Value: Decodable>: Decodable {
        let value: Value?

        init(from decoder: any Decoder) throws { value = try? Value(from: decoder) }
    }

    struct Named: Decodable { let name: String? }

    struct Consumer: Decodable {
        struct Details: Decodable { let name, connection_name: String? }
        let activity_status: String?
        let channel_details: Known<Details>?
    }

    struct Queue: Decodable {
        let owner_pid_details: Known<Named>?
        let consumer_details: [Consumer]?
    }

    struct Channel: Decodable { let messages_unacknowledged: Int? }

    private static func path(queue: String, _ vhost: String) -> String {
        "/api/queues/\(segment(vhost))/\(segment(queue))"
    }

    /// Has the broker close a connection: everything that it carries passes on at once.
    func close(_ connection: String, reason: String) async throws(LockError) {
        _ = try await send(
            "DELETE", "/api/connections/\(Self.segment(connection))", ["X-Reason": reason.escapedForDisplay])
    }

    // MARK: HTTP

    /// Nil if it does not exist.
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
        var request = WebRequest(method: method, url: base + path)
        request.headers = [("Authorization", authorization)] + headers.map { ($0, $1) }
        let answer = try await request.answer()
        switch answer.status {
        case 200..<300: return Data(answer.body)
        case 404: return nil
        case 401, 403:
            throw LockError(
                .accessRefused,
                """
                the management API refuses us (\(answer.status)): the user needs the tag 'administrator' or 'monitoring'
                """)
        default:
            throw LockError(.unreachable, "the management API answered with the status \(answer.status)")
        }
    }

    /// As one segment of a path: `/` is encoded, too.
    private static func segment(_ text: String) -> String { PercentCoding.uri.encode(text) }
}
