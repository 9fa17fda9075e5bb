import MQLock

/// The validated settings of a session.
struct SessionSettings: Sendable {
    var endpoint: Endpoint
    var mutex: RabbitMQLocks.Mutex
    var proof: RabbitMQLocks.Proof
    var owner: String
    var margin: Duration?
    var connectTimeout: Duration
    var requestTimeout: Duration
    var acknowledgementTimeout: Duration
    /// How long a released lock stays here for the next local contender; zero: not at all.
    var sticky: Duration
    var backoff: GrowingDelay
    var startupTimeout: Duration?
    /// The number of returns from which on a token is exchanged, and the number from which on a grant waits for the
    /// exchange. A token that only returns keeps its first place in the queue's log, which grows behind it.
    var wear: (exchange: Int64, wait: Int64) = (1000, 2000)
    /// How long a token is held before it is exchanged; if the exchange fails, the same time is left to repeat it.
    var renewalInterval = Duration.zero
    /// How long a token may be out beyond the broker's acknowledgement timeout: the broker checks once a minute.
    var healingSlack = Duration.seconds(90)
    /// The time between two checks by a waiter of the token mutex for contenders that could have the token; nil for the
    /// time that the broker's version requires.
    var lookInterval: Duration?
    /// How host names are resolved.
    var lookUp = Resolver.system
    /// Which users to answer, and which to obey.
    let inspection: InspectionSettings

    init(_ configuration: RabbitMQLocks.Configuration) throws(LockError) {
        try Self.checkNumbers(configuration)
        do throws(ConnectionFailure) {
            endpoint = try AMQPURI.parse(configuration.uri)
        } catch {
            throw LockError(.invalidConfiguration, error.message, underlying: error)
        }
        mutex = configuration.mutex
        proof = try Self.choice("proof", configuration.proof, &endpoint.extra, of: [.session, .quorum], else: .session)
        guard proof == .session || mutex == .singleActiveConsumer else {
            throw LockError(
                .invalidConfiguration,
                "proof=quorum works with the mutex sac only: add mutex=sac, or leave proof out")
        }
        guard endpoint.extra["durability"] == nil else {
            throw LockError(
                .invalidConfiguration,
                """
                there is no durability in the broker URI any more: locks are in quorum queues, which are quicker than \
                classic ones were; leave it out
                """)
        }
        acknowledgementTimeout =
            (try Self.consumerTimeout(&endpoint.extra) ?? configuration.acknowledgementTimeout).bounded
        sticky = try Self.sticky(configuration.sticky, &endpoint.extra)
        if let unknown = endpoint.extra.keys.min() {
            throw LockError(
                .invalidConfiguration,
                "the broker URI has an option that MQLock does not know: \(unknown.escapedForDisplay)")
        }
        if let heartbeat = configuration.heartbeat {
            guard heartbeat >= .seconds(1), heartbeat <= .seconds(600) else {
                throw LockError(
                    .invalidConfiguration, "the heartbeat has to be 1 s to 600 s, and is \(heartbeat.readable)")
            }
            endpoint.heartbeat = Int(heartbeat.components.seconds)
        }
        owner = configuration.owner
        margin = configuration.margin?.bounded
        connectTimeout = (endpoint.connectionTimeout ?? configuration.connectTimeout).bounded
        requestTimeout = configuration.requestTimeout.bounded
        backoff = GrowingDelay(configuration.backoff)
        startupTimeout = configuration.startupTimeout
        inspection = InspectionSettings(configuration, ownUser: endpoint.provenUser)
        guard proofWindow(heartbeat: heartbeat) > .zero else {
            throw LockError(
                .invalidConfiguration,
                "a margin of \(marginFor(heartbeat: heartbeat).readable) leaves nothing of two heartbeats")
        }
        guard maximumHold > .zero else {
            throw LockError(
                .invalidConfiguration,
                """
                a delivery-acknowledgement timeout of \(acknowledgementTimeout.readable) leaves no time to hold a lock \
                at a heartbeat of \(endpoint.heartbeat) s; lower the heartbeat or raise consumer_timeout on the broker
                """)
        }
        renewalInterval = maximumHold / 2
    }

    /// The value in the URI, in the unit of the broker's own setting. Removes the parameter from the URI.
    private static func consumerTimeout(_ parameters: inout [String: String]) throws(LockError) -> Duration? {
        guard let text = parameters.removeValue(forKey: "consumer_timeout") else { return nil }
        guard let milliseconds = Int64(text), milliseconds > 0 else {
            throw LockError(
                .invalidConfiguration,
                "in the broker URI, consumer_timeout is the broker's own, in milliseconds: consumer_timeout=900000")
        }
        return .milliseconds(milliseconds)
    }

    static let maximumSticky = Duration.seconds(60)

    /// The value in the configuration, else in the URI. Removes the parameter from the URI.
    private static func sticky(
        _ configured: Duration?, _ parameters: inout [String: String]
    ) throws(LockError) -> Duration {
        var named: Duration?
        if let text = parameters.removeValue(forKey: "sticky") {
            named = DurationText.parse(text)
            guard named != nil else {
                throw LockError(
                    .invalidConfiguration,
                    "in the broker URI, sticky is a duration: \(DurationText.accepted); 0 turns it off")
            }
        }
        let sticky = configured ?? named ?? RabbitMQLocks.Configuration.standardSticky
        guard sticky >= .zero, sticky <= maximumSticky else {
            throw LockError(
                .invalidConfiguration,
                "a lock can stay sticky for 0 to \(maximumSticky.readable), and \(sticky.readable) was asked for")
        }
        return sticky
    }

    private static func checkNumbers(_ configuration: RabbitMQLocks.Configuration) throws(LockError) {
        try configuration.connectTimeout.require(.positive, "connectTimeout")
        try configuration.requestTimeout.require(.positive, "requestTimeout")
        try configuration.acknowledgementTimeout.require(.positive, "acknowledgementTimeout")
        try configuration.backoff.lowerBound.require(.positive, "the first delay of backoff")
        try configuration.drainTimeout.require(.notNegative, "drainTimeout")
        try configuration.margin?.require(.notNegative, "margin")
        try configuration.startupTimeout?.require(.notNegative, "startupTimeout")
        guard configuration.maximumWaiters >= 0 else {
            throw LockError(
                .invalidConfiguration, "maximumWaiters has to be 0 or more, and is \(configuration.maximumWaiters)")
        }
    }

    /// The value in the configuration, else in the URI. Removes the parameter from the URI.
    private static func choice<Choice: CustomStringConvertible>(
        _ key: String, _ configured: Choice?, _ parameters: inout [String: String], of choices: [Choice],
        else standard: Choice
    ) throws(LockError) -> Choice {
        guard let text = parameters.removeValue(forKey: key) else { return configured ?? standard }
        guard let choice = choices.first(where: { $0.description == text }) else {
            let words = choices.map(\.description).joined(separator: " or ")
            throw LockError(.invalidConfiguration, "in the broker URI, \(key) can be \(words)")
        }
        return configured ?? choice
    }

    /// How long an answered request proves the session, from the sending of the request.
    ///
    /// The broker drops a connection between two and three heartbeat intervals after the last byte it received
    /// (rabbit_heartbeat.erl: two idle checks), so before 2T no other contender can be granted its locks.
    func proofWindow(heartbeat: Duration) -> Duration {
        heartbeat * 2 - marginFor(heartbeat: heartbeat)
    }

    /// The longest time that a session can be proven for: the broker may lower the heartbeat, but never raises it.
    var longestProof: Duration { proofWindow(heartbeat: heartbeat) }

    /// How long a try waits for a session.
    var patience: Duration { connectTimeout + requestTimeout }

    /// The longest hold of one delivery. It has to end before the broker's delivery-acknowledgement timeout. That runs
    /// from the delivery, which may have waited unread for as long as a proof lasts.
    var maximumHold: Duration {
        acknowledgementTimeout - heartbeat * 2 - marginFor(heartbeat: heartbeat)
    }

    /// The broker has named a shorter timeout. From now on holds are renewed, or end, before it passes.
    /// - Returns: whether that helps; it does not if the timeout leaves no time to hold.
    mutating func learn(consumerTimeout: Duration) -> Bool {
        guard consumerTimeout < acknowledgementTimeout else { return true }
        var shorter = self
        shorter.acknowledgementTimeout = consumerTimeout
        guard shorter.maximumHold > .zero else { return false }
        shorter.renewalInterval = min(renewalInterval, shorter.maximumHold / 2)
        self = shorter
        return true
    }

    /// The heartbeat that we request; the broker may lower it.
    private var heartbeat: Duration { .seconds(endpoint.heartbeat) }

    private func marginFor(heartbeat: Duration) -> Duration {
        margin ?? max(.milliseconds(200), heartbeat / 5)
    }
}

extension LockError {
    /// The public error for a failed connection attempt.
    init(_ failure: ConnectionFailure) {
        let code: Code =
            switch failure.kind {
            case .refusedCredentials, .vhostNotFound, .emptyVhost, .vhostRefused: .accessRefused
            case .configuration: .invalidConfiguration
            default: .unreachable
            }
        self.init(code, failure.message.escapedForDisplay, underlying: failure)
    }
}
