import Foundation
import MQLock

extension RabbitMQLocks {
    /// How to reach the broker and how to behave; every value has a sensible default.
    public struct Configuration: Sendable {
        /// The broker, as an AMQP URI. Several nodes of one cluster can be named, `amqp://user:password@one,two:5672/vhost`;
        /// they are tried in turn. In user and password, `@`, `/` and `?` are written as `%40`, `%2f` and `%3f`; behind the
        /// hosts, `@` is, too. Descriptions and reflection of the configuration show the URI without its password.
        public var uri: String {
            get { hiddenURI.text }
            set { hiddenURI.text = newValue }
        }
        private var hiddenURI: HiddenURI
        /// Which mutex the names of this provider use. All programs must use the same one for one name.
        public var mutex: Mutex
        /// What proves that a hold stands; `nil` takes what the URI says (`proof=quorum`), else ``RabbitMQLocks/Proof/session``.
        public var proof: Proof?
        /// Who we are, shown to operators and other contenders; by default host and process id.
        public var owner: String
        /// The heartbeat interval T to negotiate: the next contender gets a dead holder's lock within 2T to 3T. Whole seconds, 1 s
        /// at least; `nil` takes what the URI says, else 10 s. The broker may lower it.
        public var heartbeat: Duration?
        /// What is taken off the proof of life for clocks and scheduling; by default the larger of 200 ms and a tenth.
        public var margin: Duration?
        /// How long one attempt to connect and log in may take, over all hosts; a `connection_timeout` in the URI, in
        /// milliseconds, has precedence.
        public var connectTimeout: Duration
        /// How long the broker may take to answer one request before its channel is closed and it is tried again.
        public var requestTimeout: Duration
        /// How long to try for the first session before waiting contenders fail with "unreachable";
        /// `nil` keeps trying until their own deadlines.
        public var startupTimeout: Duration?
        /// Delays between attempts to reconnect: the first one, doubled each time, and the longest; half of each is random.
        /// They begin with the first again after a session that has lasted for as long as the longest.
        public var backoff: ClosedRange<Duration>
        /// The broker's delivery-acknowledgement timeout (`consumer_timeout`). It bounds a hold of the token mutex; the
        /// single active consumer renews its holds in time for it. A `consumer_timeout` in the URI, in milliseconds as on the
        /// broker, has precedence. When a broker before 4.3 ends a hold because its timeout is shorter, that is reported, and
        /// this provider reckons with it from then on.
        public var acknowledgementTimeout: Duration
        /// How long a shutdown waits for holders to release.
        public var drainTimeout: Duration
        /// How many contenders may wait in this process, over all names.
        public var maximumWaiters: Int
        /// Whether others may see who holds and waits here (`mqlock show`), and ask holders to yield. It costs a second
        /// connection as soon as a lock is held or waited for longer than a moment.
        public var answersQuestions: Bool
        /// Users of the broker whose requests to yield are obeyed (`mqlock break`), as the broker has validated them;
        /// `nil` for the URI's own user only. With SASL EXTERNAL there is no user in the URI, so `nil` means nobody.
        public var yieldUsers: Set<String>?
        /// A configuration for the broker at `uri`.
        public init(uri: String = "amqp://127.0.0.1:5672", mutex: Mutex = .singleActiveConsumer) {
            hiddenURI = HiddenURI(text: uri)
            self.mutex = mutex
            proof = nil
            owner = Self.defaultOwner
            heartbeat = nil
            margin = nil
            connectTimeout = .seconds(5)
            requestTimeout = .seconds(5)
            startupTimeout = nil
            backoff = .milliseconds(100) ... .seconds(5)
            acknowledgementTimeout = .seconds(30 * 60)
            drainTimeout = .seconds(5)
            maximumWaiters = 100_000
            answersQuestions = true
            yieldUsers = nil
        }
    }

    /// Which protocol on the broker makes the mutex.
    public struct Mutex: Hashable, Sendable, CustomStringConvertible, CaseIterable {
        /// The mutex's name, as the command takes it.
        public let description: String

        /// The broker's own line of consumers, of which it serves one: the default. Unlimited holds, first come first
        /// served, the safest.
        public static let singleActiveConsumer = Self(description: "sac")
        /// A single token message: delivery acquires, requeue releases. The fastest where nobody else wants the lock;
        /// for short critical sections: the broker bounds a hold (30 minutes unless configured otherwise).
        public static let token = Self(description: "token")
        /// A queue that belongs to one connection: declaring it acquires, its end releases. Unlimited holds, which do not
        /// depend on the publish connection.
        public static let exclusiveQueue = Self(description: "exclusive")

        /// Every mutex, the default first. Documentation, benchmarks and the command's options are made from it.
        public static let allCases = [singleActiveConsumer, token, exclusiveQueue]

        /// How many messages a contender may have unacknowledged. In a line, room for the token, a companion, a fresh token
        /// and surplus ones that come at once; all contenders of a name must use the same †.
        var prefetch: UInt16 { self == .token ? 1 : 8 }
    }

    /// What proves that a hold stands.
    public struct Proof: Hashable, Sendable, CustomStringConvertible {
        /// The choice's name, as the URI takes it.
        public let description: String

        /// The session: the node that we are connected to answers. Costs nothing per lock. The default.
        public static let session = Self(description: "session")
        /// Also the lock's queue: it has to hand a message back for each held lock every half heartbeat, which a node that
        /// is cut off from its cluster cannot have it do. For the single active consumer.
        public static let quorum = Self(description: "quorum")
    }

}

extension RabbitMQLocks.Configuration {
    static var defaultOwner: String {
        "\(ProcessInfo.processInfo.hostName)/\(ProcessInfo.processInfo.processIdentifier)"
    }
}
