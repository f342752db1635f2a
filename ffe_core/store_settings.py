"""Object store settings: where the store of the lake answers, and with which credentials it is asked."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field, field_validator

from ffe_core import sources

_S3, _GOOGLE, _AZURE = ("s3", "s3a"), ("gs",), ("az", "azure", "abfs", "abfss", "adl")


class StoreSettings(BaseModel):
    """Section `store`. What is empty is left to the store's own variables (AWS_*, GOOGLE_*, AZURE_*) and roles."""

    endpoint_url: str = ""
    """Of s3 and az; empty for the provider's own."""
    region: str = ""
    access_key_id: str = Field(default="", repr=False)
    secret_access_key: str = Field(default="", repr=False)
    session_token: str = Field(default="", repr=False)
    path_style: bool = True
    """Whether the bucket stands in the path of an address and not before the host."""
    allow_http: bool = False
    service_account_file: str = ""
    """Of gs: the JSON file of a service account."""
    account_name: str = ""
    account_key: str = Field(default="", repr=False)
    sas_token: str = Field(default="", repr=False)

    @field_validator("endpoint_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if "@" in url:
            raise ValueError("must hold no credentials; give them as FFE_STORE__ACCESS_KEY_ID and the like")
        return sources.checked_http_url(url).rstrip("/") if url else url

    @field_validator("service_account_file")
    @classmethod
    def _is_there(cls, file: str) -> str:
        if file and not Path(file).expanduser().is_file():
            raise ValueError(f"there is no file {file}; name the JSON file of the service account")
        return str(Path(file).expanduser()) if file else file

    def require_whole(self) -> None:
        """ValueError where one setting needs another."""
        if bool(self.access_key_id) != bool(self.secret_access_key):
            given, missing = ("access_key_id", "secret_access_key")[:: 1 if self.access_key_id else -1]
            raise ValueError(f"{given} is set and {missing} is not; set both, or neither to use AWS_* variables")
        if self.endpoint_url.startswith("http://") and not self.allow_http:
            raise ValueError(
                "endpoint_url begins with http://, and what is sent there can be read on the way; use https://, or set"
                f" {sources.variable('store', 'allow_http')}=true in a network of your own"
            )

    def options(self, address: str) -> dict[str, str]:
        """What delta-rs is told of the store of an address beside its own variables; empty for a local folder."""
        scheme = address.partition("://")[0].lower()
        found = next((own for schemes, own in self._by_scheme() if scheme in schemes), {})
        given = {name: value for name, value in found.items() if value}
        return {**given, "allow_http": "true"} if found and self.allow_http else given

    def _by_scheme(self) -> tuple[tuple[tuple[str, ...], dict[str, str]], ...]:
        return (
            (
                _S3,
                {
                    "aws_endpoint_url": self.endpoint_url,
                    "aws_region": self.region,
                    "aws_access_key_id": self.access_key_id,
                    "aws_secret_access_key": self.secret_access_key,
                    "aws_session_token": self.session_token,
                    "aws_virtual_hosted_style_request": "" if self.path_style else "true",
                },
            ),
            (_GOOGLE, {"google_service_account": self.service_account_file}),
            (
                _AZURE,
                {
                    "azure_storage_account_name": self.account_name,
                    "azure_storage_account_key": self.account_key,
                    "azure_storage_sas_token": self.sas_token,
                    "azure_storage_endpoint": self.endpoint_url,
                },
            ),
        )
