import MQLock

extension RabbitMQLocks {
    /// How to reach the broker and how to behave; every value has a sensible default.
    public struct Configuration: Sendable {
        /// The broker, as an AMQP URI. Several nodes of one cluster can be named,
        /// `amqp://user:password@one,two:5672/vhost`; they are tried in turn. In user and password, write `@`, `/` and
        /// `?` as `%40`, `%2f` and `%3f`; after the hosts, write `@` as `%40`, too. Descriptions and reflection of the
        /// configuration show the URI without its password.
        public var uri: String {
            get { hiddenURI.text }
            set { hiddenURI.text = newValue }
        }
        private var hiddenURI: HiddenURI
        /// Which mutex the names of this provider use. All programs must use the same one for one name.
        public var mutex: Mutex
        /// What proves a hold; `nil` means the value in the URI (`proof=quorum`), else ``RabbitMQLocks/Proof/session``.
        public var proof: Proof?
        /// The name shown to operators and other contenders; by default host and process id.
        public var owner: String
        /// The heartbeat interval T to negotiate: the next contender acquires a dead holder's lock within 2T to 3T.
        /// Whole seconds, at least 1 s; `nil` means the value in the URI, else 10 s. The broker may lower it.
        public var heartbeat: Duration?
        /// The margin subtracted from the proof of life for clocks and scheduling; by default the larger of 200 ms and
        /// a tenth.
        public var margin: Duration?
        /// How long one attempt to connect and log in may take, over all hosts; a `connection_timeout` in the URI, in
        /// milliseconds, has precedence.
        public var connectTimeout: Duration
        /// How long the broker may take to answer one request. After that the channel is closed and the request is
        /// tried again.
        public var requestTimeout: Duration
        /// How long to wait for the first session before waiting contenders fail with `unreachable`; `nil` keeps trying
        /// until their own deadlines.
        public var startupTimeout: Duration?
        /// Delays between attempts to reconnect: the first one, doubled each time, and the longest; half of each is
        /// random. They start over after a session that has lasted as long as the longest delay.
        public var backoff: ClosedRange<Duration>
        /// The broker's delivery-acknowledgement timeout (`consumer_timeout`). It limits a hold of the token mutex; the
        /// single active consumer renews its holds before it passes. A `consumer_timeout` in the URI, in milliseconds
        /// as on the broker, has precedence. When a broker before 4.3 ends a hold because its timeout is shorter, that
        /// is reported, and this provider uses the shorter timeout from then on.
        public var acknowledgementTimeout: Duration
        /// How long a lock may stay in this process after its release, when nobody elsewhere wants it: until then its next
        /// local acquire asks nobody. Zero turns it off; at most a minute; `nil` means the value in the URI
        /// (`sticky=500ms`), else zero. Only the single active consumer is sticky. Use the same in all programs of a
        /// lock: see <doc:StickyLocks>.
        public var sticky: Duration?
        /// How long a shutdown waits for holders to release.
        public var drainTimeout: Duration
        /// How many contenders may wait in this process, over all names.
        public var maximumWaiters: Int
        /// Whether others can see this program's holders and waiters (`mqlock show`), and ask holders to yield. It
        /// costs a second connection as soon as a lock is held or waited for longer than a moment.
        public var answersQuestions: Bool
        /// Broker users whose requests to yield are obeyed (`mqlock break`); the broker validates the user. `nil` means
        /// only the URI's own user. With SASL EXTERNAL there is no user in the URI, so `nil` means nobody.
        public var yieldUsers: Set<String>?
        /// A configuration for the broker at `uri`.
        public init(uri: String = "amqp://127.0.0.1:5672", mutex: Mutex = .singleActiveConsumer) {
            hiddenURI = HiddenURI(text: uri)
            self.mutex = mutex
            proof = nil
            owner = ThisProcess.owner
            heartbeat = nil
            margin = nil
            connectTimeout = .seconds(5)
            requestTimeout = .seconds(5)
            startupTimeout = nil
            backoff = .milliseconds(100) ... .seconds(5)
            acknowledgementTimeout = .seconds(30 * 60)
            sticky = nil
            drainTimeout = .seconds(5)
            maximumWaiters = 100_000
            answersQuestions = true
            yieldUsers = nil
        }
    }

    /// Which protocol on the broker implements the mutex.
    public struct Mutex: Hashable, Sendable, CustomStringConvertible, CaseIterable {
        /// The mutex's name, as in the command's options.
        public let description: String

        /// The broker's own line of consumers; it serves only the first. This is the default and the safest: unlimited
        /// holds, first come, first served.
        public static let singleActiveConsumer = Self(description: "sac")
        /// A single token message: delivery acquires, requeue releases. The fastest without contention. For short
        /// critical sections: the broker limits a hold (30 minutes by default).
        public static let token = Self(description: "token")
        /// A queue that belongs to one connection: declaring it acquires, deleting it releases. Unlimited holds, which
        /// do not depend on the publish connection.
        public static let exclusiveQueue = Self(description: "exclusive")

        /// Every mutex, the default first. Documentation, benchmarks and the command's options are generated from it.
        public static let allCases = [singleActiveConsumer, token, exclusiveQueue]

        /// How many messages a contender may have unacknowledged. In a line this leaves room for the token, a
        /// companion, a fresh token and surplus ones that come at once; all contenders of a name must use the same †.
        var prefetch: UInt16 { self == .token ? 1 : 8 }
    }

    /// What proves a hold.
    public struct Proof: Hashable, Sendable, CustomStringConvertible {
        /// The choice's name, as in the URI.
        public let description: String

        /// The session: the node that we are connected to answers. Costs nothing per lock. The default.
        public static let session = Self(description: "session")
        /// The lock's queue, too: every half heartbeat it has to return a message for each held lock. A node that is
        /// cut off from its cluster cannot make it do that. For the single active consumer.
        public static let quorum = Self(description: "quorum")
    }

}

extension RabbitMQLocks.Configuration {
    static let standardSticky = Duration.zero
}
