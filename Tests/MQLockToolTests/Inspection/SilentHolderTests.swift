import MQLock
import Testing

@testable import MQLockTool

@Suite("The connection of a holder that does not answer")
struct SilentHolderTests {
    private static let sessions = ["a", "b", "c"].map { String(repeating: $0, count: 32) }
    private static let connections =
        sessions.map {
            ManagementAPI.Connection(name: "\($0.prefix(1)) -> broker", given: "mqlock me locks \($0)", user: "guest")
        }
        + sessions.map { .init(name: "\($0.prefix(1))2 -> broker", given: "mqlock me publishes \($0)", user: "guest") }
        + [.init(name: "x -> broker", given: nil), .init(name: "y -> broker", given: "locks")]
    /// Who may have answered, truly or not.
    private static let speakers = sessions.flatMap { session in
        ["guest", "liar", nil].map { LockContender.Speaker(session: session, user: $0) }
    }

    private static func subsets<Element>(_ all: [Element]) -> [[Element]] {
        (0..<1 << all.count).map { mask in all.indices.filter { mask >> $0 & 1 == 1 }.map { all[$0] } }
    }

    @Test("only what the broker names is ever closed, and only when nobody answers for it, whatever is answered")
    func onlyWhatTheBrokerNames() {
        let names = Self.connections.map(\.name) + ["nowhere"]
        for named in Self.subsets(names) {
            for answered in Self.subsets(Self.speakers).prefix(named.count > 3 ? 64 : 512) {
                let finding = SilentHolder.choose(Set(named), Self.connections, Set(answered))
                guard case .silent(let connection) = finding else { continue }
                #expect(named.contains(connection.name))
                let session = connection.session
                #expect(!answered.contains { $0.user == "guest" && $0.session == session })
                #expect(connection.given?.contains(" locks ") == true)
            }
        }
    }

    @Test("nobody's answer but its own user's keeps the named one from being closed")
    func forged() {
        for answered in Self.subsets(Self.speakers.filter { $0.user != "guest" }) {
            #expect(
                SilentHolder.choose(["b -> broker"], Self.connections, Set(answered)) == .silent(Self.connections[1]))
        }
        let own = LockContender.Speaker(session: Self.sessions[1], user: "guest")
        #expect(SilentHolder.choose(["b -> broker"], Self.connections, [own]) == .alive(Self.connections[1]))
    }

    @Test("of several that the broker names nobody is guessed")
    func several() {
        let finding = SilentHolder.choose(["a -> broker", "b -> broker"], Self.connections, [])
        guard case .unknown(let why) = finding else {
            Issue.record("guessed: \(finding)")
            return
        }
        #expect(why.contains("a -> broker") && why.contains("b -> broker"))
    }

    @Test("a management URL is checked, and never repeated: it may hold a password")
    func url() throws {
        let credentials = InspectionFixtures.credentials
        for url in ["", "host:15672", "ftp://secret@host", "http://", "http://user:secret@host/?x=1"] {
            let error = #expect(throws: LockError.self) { try ManagementAPI(url, credentials: credentials) }
            #expect(error?.code == .invalidConfiguration)
            #expect(error?.message.contains("secret") == false)
        }
        _ = try ManagementAPI("https://user:secret@host:15671/prefix/", credentials: credentials)
    }
}
