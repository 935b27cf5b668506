"""Grafana dashboards as code, and a page for whoever has no Grafana; README.md is how to use them.

Who imports whom, from above:

    page > page_data, page_picture      the same panels as one HTML file
    __main__ > grafana                  their JSON, here and in the chart
    catalogue > production, society, models, pipeline > panels
"""
