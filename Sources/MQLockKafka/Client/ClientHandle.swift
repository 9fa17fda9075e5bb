import CMQLockRdKafka
import Dispatch
import MQLock

/// Owns one client of the library, and destroys it exactly once.
///
/// A client has threads of its own, and destroying it waits for them. So it is destroyed on a queue where nobody waits.
final class ClientHandle: @unchecked Sendable {
    enum Kind { case consumer, producer }

    /// Valid until the `deinit`, so for as long as this object is kept.
    let raw: OpaquePointer
    private let log: LogContext
    private let name: String

    init(
        _ kind: Kind, _ settings: ClientSettings, events: Int32 = 0,
        log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) {
        let properties = try settings.properties()
        try Self.loadLibrary()
        guard let configuration = rd_kafka_conf_new() else { throw LockError(.internalError, "out of memory") }
        var failure: LockError?
        withErrorText { text, size in
            for (name, value) in properties
            where rd_kafka_conf_set(configuration, name, value, text, size) != RD_KAFKA_CONF_OK {
                // The library's message names the property, and never contains a value except one of an enumeration.
                failure = LockError(
                    .invalidConfiguration, "librdkafka refuses a property: \(String(cString: text).escapedForDisplay)")
                return
            }
        }
        if let failure {
            rd_kafka_conf_destroy(configuration)
            throw failure
        }
        let context = LogContext(log)
        rd_kafka_conf_set_opaque(configuration, Unmanaged.passUnretained(context).toOpaque())
        rd_kafka_conf_set_log_cb(configuration, relayLog)
        rd_kafka_conf_set_events(configuration, events)
        var created: OpaquePointer?
        withErrorText { text, size in
            created = rd_kafka_new(kind == .consumer ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, configuration, text, size)
            guard created == nil else { return }
            failure = LockError(
                .invalidConfiguration,
                "librdkafka makes no client: \(String(cString: text).escapedForDisplay); check the configuration")
        }
        guard let created else {
            // The library takes ownership only when it succeeds.
            rd_kafka_conf_destroy(configuration)
            throw failure ?? LockError(.internalError, "librdkafka makes no client")
        }
        raw = created
        self.log = context
        name = settings.connection.clientID
        Self.census.withLock { $0[name, default: 0] += 1 }
    }

    deinit {
        // This does not close a consumer. Closing it happens earlier, in time, or is impossible.
        let (raw, log, name) = (SendablePointer(raw), log, name)
        Self.disposal.async {
            rd_kafka_destroy_flags(raw.value, Int32(RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE))
            // The library logs until then.
            withExtendedLifetime(log) {}
            Self.census.withLock { $0[name] = $0[name].flatMap { $0 > 1 ? $0 - 1 : nil } }
        }
    }

    /// Where librdkafka is not linked, it is loaded now. Nothing in this module calls it without a client.
    private static func loadLibrary() throws(LockError) {
        guard let reason = mqlock_rd_kafka_load() else { return }
        throw LockError(
            .invalidConfiguration,
            "Kafka needs librdkafka, which cannot be loaded; on Debian and Ubuntu install the package librdkafka1 "
                + "(\(String(cString: reason).escapedForDisplay))")
    }

    /// What made the client useless, if anything did.
    var fatalError: KafkaFailure? {
        var failure: KafkaFailure?
        withErrorText { text, size in
            let code = rd_kafka_fatal_error(raw, text, size)
            guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
            var fatal = KafkaFailure(code, String(cString: text))
            fatal.isFatal = true
            failure = fatal
        }
        return failure
    }

    /// How many clients of this name in this process have not been destroyed yet, for tests.
    static func count(named name: String) -> Int { census.withLock { $0[name] ?? 0 } }

    private static let census = Locked([String: Int]())
    private static let disposal = DispatchQueue(label: "mqlock.kafka.disposal", attributes: .concurrent)
}

/// A line of the library's log.
struct LogLine: Sendable {
    /// As in syslog(3): 3 is an error, 7 is debugging.
    let level: Int32
    /// The subject, such as SESSTMOUT.
    let facility: String
    let text: String
}

/// A pointer that is handed to another thread.
struct SendablePointer: @unchecked Sendable {
    let value: OpaquePointer
    init(_ value: OpaquePointer) { self.value = value }
}

private final class LogContext: Sendable {
    let receive: @Sendable (LogLine) -> Void
    init(_ receive: @escaping @Sendable (LogLine) -> Void) { self.receive = receive }
}

/// Called on any library thread that has a message.
private func relayLog(
    _ client: OpaquePointer?, _ level: Int32, _ facility: UnsafePointer<CChar>?, _ text: UnsafePointer<CChar>?
) {
    guard let client, let facility, let text, let opaque = rd_kafka_opaque(client) else { return }
    let context = Unmanaged<LogContext>.fromOpaque(opaque).takeUnretainedValue()
    context.receive(
        LogLine(
            level: level, facility: String(cString: facility), text: String(cString: text).escapedForDisplay))
}

/// A buffer for the message of a failed call.
private func withErrorText(_ body: (UnsafeMutablePointer<CChar>, Int) -> Void) {
    withUnsafeTemporaryAllocation(of: CChar.self, capacity: 512) { buffer in
        guard let text = buffer.baseAddress else { return }
        text.initialize(repeating: 0, count: buffer.count)
        body(text, buffer.count)
    }
}
