package import MQLock

/// The names on the broker of everything that belongs to one lock name (protocol `mqlock.v1`).
///
/// The queue of the name is the same whatever the mutex, so that two programs with different kinds meet on it and the
/// second is refused. Control characters and `%` are percent-encoded: RabbitMQ strips CR and LF from queue names, and
/// two lock names that differ in them only would become one.
struct ObjectNames: Sendable, Equatable {
    /// The exchange through which everything that counts is published: direct, durable. A queue is bound to it with its own
    /// name as the key. Who may lock is decided by the broker's permissions on it.
    static let exchange = "mqlock.v1"

    /// The queue that is the lock.
    let queue: String
    /// The write-once register that names the valid token's nonce.
    let register: String
    /// The exclusive queue that lets one contender at a time mend a lock whose token is gone.
    let mend: String
    /// The line of those who wait for an exclusive queue.
    let line: String
    /// What has been done under the lock, whatever the mutex.
    let done: String

    /// Every queue that there may be of the name, whatever the mutex.
    var all: [String] { [queue, register, mend, line, done] }

    /// The longest queue name in bytes (AMQP's short string).
    static let maximumLength = 255

    init(_ name: LockName, vhost: String) throws(LockError) {
        let encoded = Self.encode(name)
        queue = "\(Self.exchange)/\(encoded)"
        register = "\(Self.exchange).seeded/\(encoded)"
        mend = "\(Self.exchange).mend/\(encoded)"
        line = "\(Self.exchange).line/\(encoded)"
        done = "\(Self.exchange).done/\(encoded)"
        // A quorum queue is a Raft cluster whose id is made of virtual host and queue name: both count.
        let room = Self.maximumLength - vhost.utf8.count - 1
        let longest = max(queue.utf8.count, register.utf8.count)
        guard longest <= room else {
            throw LockError(
                .invalidName,
                """
                the lock name \(name) needs a queue name of \(longest) bytes and this virtual host leaves \(room); \
                shorten the name or lock a hash of it
                """)
        }
    }

    /// As names stand in queue names and routing keys.
    static func encode(_ name: LockName) -> String { name.string.percentEncoded }
}

/// What a lock is made of on the broker, for the broker's other interfaces.
package struct LockObjects: Sendable {
    /// The queue that is the lock.
    package let queue: String
    /// The register of a lock that is one message.
    package let register: String

    package init(_ name: LockName, vhost: String) throws(LockError) {
        let objects = try ObjectNames(name, vhost: vhost)
        (queue, register) = (objects.queue, objects.register)
    }

    /// What a queue is to its lock.
    package enum Kind: Sendable, CaseIterable {
        case lock, line, register, done

        var prefix: String {
            switch self {
            case .lock: "\(ObjectNames.exchange)/"
            case .line: "\(ObjectNames.exchange).line/"
            case .register: "\(ObjectNames.exchange).seeded/"
            case .done: "\(ObjectNames.exchange).done/"
            }
        }
    }

    /// Which lock a queue is of, and what it is there for; nil when it is none of ours.
    package static func part(_ queue: String) -> (name: LockName, kind: Kind)? {
        for kind in Kind.allCases where queue.hasPrefix(kind.prefix) {
            guard let text = String(percentEncoded: queue.dropFirst(kind.prefix.count)), let name = try? LockName(text)
            else { return nil }
            return (name, kind)
        }
        return nil
    }

    /// The lock that a queue is of, or stands in line for; nil when it is none of ours.
    package static func name(ofQueue queue: String) -> LockName? {
        guard let (name, kind) = part(queue), kind == .lock || kind == .line else { return nil }
        return name
    }
    /// What deletes queues, for a shell on the broker. One that has gone already keeps none of the others.
    package static func deletion(of queues: [String], vhost: String) -> String {
        queues.map { "rabbitmqctl delete_queue -p \(vhost.quotedForShell) \($0.quotedForShell)" }
            .joined(separator: "; ").escapedForDisplay
    }
}

extension String {
    /// One word for a shell, whatever is in it.
    fileprivate var quotedForShell: String { "'\(replacing("'", with: #"'\''"#))'" }
}
