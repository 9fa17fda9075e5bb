import Foundation
import MQLock
import Testing

/// The alert rules and the dashboard in `brokers/operation`, against the metrics that there are.
@Suite struct OperationMetricsTests {
    private struct Dashboard: Decodable {
        struct Panel: Decodable {
            struct Position: Decodable { let x, y, w, h: Int }
            struct Target: Decodable { let refId, expr, legendFormat: String }
            let id: Int
            let type, title: String
            let gridPos: Position
            let targets: [Target]?
        }
        struct Templating: Decodable {
            struct Variable: Decodable {
                struct Query: Decodable { let query: String }
                let name: String
                let query: Query?

                enum CodingKeys: String, CodingKey { case name, query }

                init(from decoder: any Decoder) throws {
                    let container = try decoder.container(keyedBy: CodingKeys.self)
                    name = try container.decode(String.self, forKey: .name)
                    // A data source's is plain text.
                    query = try? container.decode(Query.self, forKey: .query)
                }
            }
            let list: [Variable]
        }
        let panels: [Panel]
        let templating: Templating

        var expressions: [String] { panels.flatMap { $0.targets ?? [] }.map(\.expr) }
    }

    private static func text(_ path: String) throws -> String {
        let root = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../..").standardizedFileURL
        return try String(contentsOf: root.appendingPathComponent("brokers/operation/\(path)"), encoding: .utf8)
    }

    private func dashboard() throws -> Dashboard {
        try JSONDecoder().decode(Dashboard.self, from: Data(Self.text("grafana/mqlock.json").utf8))
    }

    private func families() throws -> Set<String> {
        Set(try PrometheusPage(LockMetrics().prometheusText()).families.map(\.name))
    }

    private func metrics(in expressions: [String]) -> Set<String> {
        Set(
            expressions.flatMap { $0.matches(of: /mqlock_[a-z_]+/) }.map {
                String($0.output).replacing(/_(bucket|sum|count)$/, with: "")
            })
    }

    @Test func rulesAreThoseOfTheArticle() throws {
        #expect(try Self.text("prometheus/mqlock.rules.yaml") == ObservingArticle().rules)
    }

    @Test func theDashboardShowsAllMetricsAndNoOthers() throws {
        let dashboard = try dashboard()
        let families = try families()
        #expect(metrics(in: dashboard.expressions) == families)
        let asked = dashboard.templating.list.compactMap(\.query?.query)
        #expect(asked.count > 1 && metrics(in: asked).isSubset(of: families))
    }

    @Test func panelsHaveTheirPlacesAndVariablesTheirNames() throws {
        let dashboard = try dashboard()
        let panels = dashboard.panels
        #expect(Set(panels.map(\.id)).count == panels.count && panels.count > 10)
        for (index, panel) in panels.enumerated() {
            let place = panel.gridPos
            #expect(place.w > 0 && place.h > 0 && place.x >= 0 && place.x + place.w <= 24, "\(panel.title)")
            for other in panels.dropFirst(index + 1) {
                let apart =
                    place.x + place.w <= other.gridPos.x || other.gridPos.x + other.gridPos.w <= place.x
                    || place.y + place.h <= other.gridPos.y || other.gridPos.y + other.gridPos.h <= place.y
                #expect(apart, "\(panel.title) lies on \(other.title)")
            }
            let references = (panel.targets ?? []).map(\.refId)
            #expect(Set(references).count == references.count && (panel.type == "row") == references.isEmpty)
        }
        let known = Set(dashboard.templating.list.map(\.name)).union(["__rate_interval", "__range"])
        for expression in dashboard.expressions {
            let used = expression.matches(of: /\$([a-z_]+)/).map { String($0.1) }
            #expect(Set(used).isSubset(of: known) && used.contains("instance"), "\(expression)")
        }
    }

    @Test(.enabled(if: Promtool.path != nil, "no promtool on the PATH (Debian: prometheus); set MQLOCK_PROMTOOL"))
    func rulesAndExpressionsPassPromtool() throws {
        let rules = try Promtool.run(
            ["check", "rules", "rules.yml"], files: ["rules.yml": Self.text("prometheus/mqlock.rules.yaml")])
        #expect(rules.status == 0, "\(rules.output)")
        for expression in try dashboard().expressions {
            let plain = expression.replacing(/\$__[a-z_]+/, with: "5m").replacing(/\$[a-z]+/, with: ".*")
            let group = #"{"groups":[{"name":"g","rules":[{"record":"r","expr":\#(Self.quoted(plain))}]}]}"#
            let verdict = try Promtool.run(["check", "rules", "rules.yml"], files: ["rules.yml": group])
            #expect(verdict.status == 0, "\(expression): \(verdict.output)")
        }
        let bad = #"{"groups":[{"name":"g","rules":[{"record":"r","expr":"sum by (le"}]}]}"#
        #expect(try Promtool.run(["check", "rules", "rules.yml"], files: ["rules.yml": bad]).status != 0)
    }

    private static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
