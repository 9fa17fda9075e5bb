/// One option of the command line: what the parser accepts, the help shows and the shells complete.
struct OptionDescriptor: Sendable {
    enum Key: Sendable, Hashable {
        case help, version, broker, brokerFile, mutex, nonblock, wait, conflictStatus, once, markFailures, skipStatus,
            signal, killAfter, foreground
        case owner, info, json, verbose, quiet, passBroker
        case yes, management
        case fence, name, lead
        case rounds, workers, lock, sabotage
        case cycles, processes, kills, quick, beside, parts, picture, save, compare
        case partitions, create
        case restart
        case manual
    }

    /// What follows the option.
    enum Value: Sendable, Equatable {
        case none
        case text(String)
        case file(String)
        case oneOf(String, [String])

        /// The placeholder in the help.
        var placeholder: String? {
            switch self {
            case .none: nil
            case .text(let word), .file(let word), .oneOf(let word, _): word
            }
        }
    }

    let key: Key
    let long: String
    var short: Character?
    var value = Value.none
    let summary: String

    /// `--wait DUR`, `-w, --wait DUR`.
    var label: String {
        let names = (short.map { "-\($0), " } ?? "    ") + "--\(long)"
        return value.placeholder.map { "\(names) \($0)" } ?? names
    }
}

extension OptionDescriptor {
    static let help = Self(key: .help, long: "help", short: "h", summary: "show this help")
    static let version = Self(key: .version, long: "version", summary: "show the version")
    static let manual = Self(key: .manual, long: "man", summary: "print the manual page, in the language of man(7)")

    static let broker = [
        Self(
            key: .broker, long: "broker", value: .text("URI"),
            summary:
                "the broker, amqp(s)://user:password@host:port/vhost?heartbeat=5 or kafka://host:9092,host:9092/topic; else "
                + "that of --broker-file, else $MQLOCK_BROKER, else amqp://127.0.0.1:5672; with proof=quorum (RabbitMQ) sac's "
                + "queue has to prove each hold"),
        Self(
            key: .brokerFile, long: "broker-file", value: .file("FILE"),
            summary: fromFile),
    ]

    private static let fromFile =
        "read the URI from FILE, so that no password stands on a command line; nobody else may read it (mode 0600), but "
        + "the group may a file that belongs to root (mode 0440)"

    static let run = [
        Self(
            key: .mutex, long: "mutex", value: .oneOf("KIND", ["sac", "token", "exclusive"]),
            summary:
                "what the lock is made of on RabbitMQ, the same for all contenders of a name: sac (the default: a single "
                + "active consumer, unlimited holds), token (one message, 30 minutes at most) or exclusive (an exclusive "
                + "queue, unlimited holds, also during an alarm of the broker); compared in the article 'Choosing a "
                + "mutex' of the documentation"),
        Self(key: .nonblock, long: "nonblock", short: "n", summary: "do not wait when the lock is taken"),
        Self(key: .wait, long: "wait", short: "w", value: .text("DUR"), summary: "wait for DUR at most"),
        Self(
            key: .conflictStatus, long: "conflict-exit-code", short: "E", value: .text("CODE"),
            summary: "exit status when -n or -w did not get the lock (default 1)"),
        Self(
            key: .once, long: "once", value: .oneOf("PERIOD", ["hour", "day", "week", "month"]),
            summary:
                "run the command once for PERIOD, whoever comes first; the others skip it and end with 0"),
        Self(
            key: .markFailures, long: "mark-failures",
            summary: "with --once: do not try again when the command fails"),
        Self(
            key: .skipStatus, long: "skip-exit-code", value: .text("CODE"),
            summary: "with --once: exit status when the command has been run before (default 0)"),
        Self(
            key: .signal, long: "signal", short: "s",
            value: .oneOf("SIGNAL", SignalName.all.map(\.name)),
            summary: "what the command is sent when the lock is lost (default TERM)"),
        Self(
            key: .killAfter, long: "kill-after", short: "k", value: .text("DUR"),
            summary: "how long after that it is sent KILL; default, and at most, what is left of the proof that the "
                + "lock is ours"),
        Self(
            key: .foreground, long: "foreground",
            summary: "keep the command in our process group, for commands that use the terminal; signals are then "
                + "passed on to the command alone, not to its children"),
        Self(
            key: .owner, long: "owner", value: .text("TEXT"),
            summary: "who we are, shown to others (default host/pid)"),
        Self(
            key: .info, long: "info", value: .text("TEXT"),
            summary: "what we say about our hold, shown to others beside the owner (1 kB at most; on RabbitMQ only)"),
        Self(
            key: .passBroker, long: "pass-broker",
            summary: "leave $MQLOCK_BROKER and $MQLOCK_MANAGEMENT to the command, with their passwords"),
        Self(key: .json, long: "json", summary: "tell what happens as JSON on stderr, one object a line"),
        Self(key: .verbose, long: "verbose", short: "v", summary: "tell what happens on stderr"),
        Self(
            key: .quiet, long: "quiet", short: "q",
            summary: "say nothing when the lock is not obtained (-n, -w), only exit; all other failures are reported"),
    ]
}

extension OptionDescriptor {
    private static func answers(_ standard: String) -> Self {
        Self(
            key: .wait, long: "wait", short: "w", value: .text("DUR"),
            summary: "wait for answers for DUR at most (default \(standard); to read the log of Kafka 30s)")
    }

    private static let objects = Self(key: .json, long: "json", summary: "write JSON, one object a line")

    static let show = [answers("2s"), objects]
    static let list = [answers("2s"), management("to list what nobody answers for, too"), objects]
    static let observe = [objects]
    static let breaking = [
        Self(key: .yes, long: "yes", short: "y", summary: "really take the lock from its holder"),
        Self(
            key: .wait, long: "wait", short: "w", value: .text("DUR"),
            summary: "wait for the holder for DUR at most (default 5s)"),
        management("to close the connection of a holder that does not answer"),
        objects,
    ]

    static let clean = [
        Self(key: .yes, long: "yes", short: "y", summary: "really remove them"),
        management("which lists the locks"),
        objects,
    ]

    static let doctor = [
        management("to look at policies, and for locks from before an upgrade (RabbitMQ)"),
        Self(
            key: .create, long: "create",
            summary: "make the topic, with all that locks or shards need, if it is not there (Kafka)"),
        objects,
    ]

    private static func management(_ purpose: String) -> Self {
        Self(
            key: .management, long: "management", value: .text("URL"),
            summary: "the broker's management API, http://user:password@host:15672, \(purpose); else "
                + "$MQLOCK_MANAGEMENT. Without a user it is the broker URI's. It is asked by the program curl")
    }
}

extension OptionDescriptor {
    /// The broker's options, for commands of Kafka.
    static let kafka = [
        Self(
            key: .broker, long: "broker", value: .text("URI"),
            summary: "the cluster and the lock topic, kafka://host:9092,host:9092/topic?session=20s; else that of "
                + "--broker-file, else $MQLOCK_BROKER"),
        Self(
            key: .brokerFile, long: "broker-file", value: .file("FILE"),
            summary: fromFile),
    ]

    static let shards =
        [
            Self(
                key: .partitions, long: "partitions", short: "p", value: .text("N"),
                summary: "how many partitions the topic has; the same for all members. Not looked up: a topic that has "
                    + "another number now is refused, because names would have other owners"),
            Self(
                key: .owner, long: "owner", value: .text("TEXT"),
                summary: "who we are, shown in claims (default host/pid)"),
            objects,
        ] + kafka

    /// The options of `run` that make sense where nobody waits for one lock.
    static let elect =
        run.filter { ![.nonblock, .wait, .conflictStatus, .once, .markFailures, .skipStatus, .quiet].contains($0.key) }
        + [
            Self(
                key: .restart, long: "restart",
                summary: "when the command fails, give the leadership up and campaign again, after a wait that grows; "
                    + "without it elect ends with the command's status")
        ]
}
